package phoenixotel

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// The attributes that the conventions for messaging do not have.
const (
	eventKey   = attribute.Key("phoenix.event")
	statusKey  = attribute.Key("phoenix.status")
	stateKey   = attribute.Key("phoenix.state")
	reasonKey  = attribute.Key("phoenix.reason")
	sentKey    = attribute.Key("phoenix.sent")
	rejoinKey  = attribute.Key("phoenix.rejoin")
	attemptKey = attribute.Key("phoenix.attempt")
	queuedKey  = attribute.Key("phoenix.queued")
)

// other stands for what would make too many series.
const other = "_OTHER"

const (
	maxNames   = 100  // templates, and events, that a Trace keeps apart
	maxNameLen = 128  // in bytes
	maxSets    = 2000 // starts of spans, and series, that are made only once
)

//nolint:gochecknoglobals // a constant
var system = semconv.MessagingSystemKey.String("phoenix")

// names are names that are kept apart, up to maxNames.
type names struct{ seen cache[string, struct{}] }

// bounded returns name, or other if there are too many names.
func (n *names) bounded(name string) string {
	if name == "" {
		return ""
	}
	if len(name) > maxNameLen || !n.seen.has(name, maxNames) {
		return other
	}
	return name
}

// A cache keeps values that are made once for each key. Reading takes no lock.
type cache[K comparable, V any] struct {
	all  atomic.Pointer[map[K]V] // never changed, but replaced
	mu   sync.Mutex              // for who replaces it
	make func(K) V
}

// get returns the value of k, which is kept if there are not too many.
func (c *cache[K, V]) get(k K) V {
	if all := c.all.Load(); all != nil {
		if v, ok := (*all)[k]; ok {
			return v
		}
	}
	v := c.make(k)
	c.put(k, v, maxSets)
	return v
}

// has reports whether k is one of the first most keys, and adds it if there is room.
func (c *cache[K, V]) has(k K, most int) bool {
	if all := c.all.Load(); all != nil {
		if _, ok := (*all)[k]; ok || len(*all) >= most {
			return ok
		}
	}
	var zero V
	return c.put(k, zero, most)
}

// put adds a value if there is room, and reports whether it is there.
func (c *cache[K, V]) put(k K, v V, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]V{}
	if all := c.all.Load(); all != nil {
		if _, ok := (*all)[k]; ok || len(*all) >= most {
			return ok
		}
		next = maps.Clone(*all)
	}
	next[k] = v
	c.all.Store(&next)
	return true
}
