package phoenixotel

import (
	"sync"

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
	maxNames   = 100 // templates, and events, that a Trace keeps apart
	maxNameLen = 128 // in bytes
	maxSets    = 2000
)

//nolint:gochecknoglobals // a constant
var system = semconv.MessagingSystemKey.String("phoenix")

// names are names that are kept apart, up to maxNames.
type names struct {
	mu   sync.RWMutex
	seen map[string]struct{}
}

// bounded returns name, or other if there are too many names.
func (n *names) bounded(name string) string {
	n.mu.RLock()
	_, ok := n.seen[name]
	n.mu.RUnlock()
	if ok || name == "" {
		return name
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.seen[name]; ok {
		return name
	}
	if len(n.seen) >= maxNames || len(name) > maxNameLen {
		return other
	}
	if n.seen == nil {
		n.seen = map[string]struct{}{}
	}
	n.seen[name] = struct{}{}
	return name
}

// A cache keeps up to maxSets values that are made once for each key.
type cache[K comparable, V any] struct {
	mu   sync.RWMutex
	all  map[K]V
	make func(K) V
}

func (c *cache[K, V]) get(k K) V {
	c.mu.RLock()
	v, ok := c.all[k]
	c.mu.RUnlock()
	if ok {
		return v
	}
	v = c.make(k)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[K]V{}
	}
	if len(c.all) < maxSets {
		c.all[k] = v
	}
	return v
}
