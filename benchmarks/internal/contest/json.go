package contest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bytedance/sonic"
	jsonv2 "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
	goccy "github.com/goccy/go-json"

	"github.com/phxgo/phoenix"

	"github.com/phxgo/phoenix/benchmarks/internal/wire"
)

// The contestants of the JSON cases: the client with a JSON library each.
const (
	EncodingJSON = "encoding/json"
	// JSONv1OnV2 is what encoding/json becomes with GOEXPERIMENT=jsonv2, and by
	// default in Go 1.27.
	JSONv1OnV2 = "encoding/json on v2"
	JSONv2     = "encoding/json/v2"
	Goccy      = "goccy/go-json"
	Sonic      = "bytedance/sonic"
)

// JSONLibraries are the contestants of the JSON cases. The first is the default.
func JSONLibraries() []string {
	return []string{EncodingJSON, JSONv1OnV2, JSONv2, Goccy, Sonic}
}

// JSONClient is a contestant whose payloads are Go values.
type JSONClient interface {
	// Exchange pushes a value n times from so many goroutines. Each decodes the
	// reply, of about size bytes, before it pushes again.
	Exchange(n, goroutines, size int) error

	// Decode receives n events of about size bytes, in order, and decodes each. It
	// asks for a batch at a time.
	Decode(n, size, batch int) error
}

// jsonOptions are the options of a client with that library.
func jsonOptions(library string) *phoenix.SocketOptions {
	switch library {
	case JSONv1OnV2:
		return &phoenix.SocketOptions{Marshal: jsonv1.Marshal, Unmarshal: jsonv1.Unmarshal}
	case JSONv2:
		return &phoenix.SocketOptions{
			Marshal:   func(v any) ([]byte, error) { return jsonv2.Marshal(v) },
			Unmarshal: func(data []byte, v any) error { return jsonv2.Unmarshal(data, v) },
		}
	case Goccy:
		return &phoenix.SocketOptions{Marshal: goccy.Marshal, Unmarshal: goccy.Unmarshal}
	case Sonic:
		return &phoenix.SocketOptions{Marshal: sonic.ConfigStd.Marshal, Unmarshal: sonic.ConfigStd.Unmarshal}
	}
	return nil
}

func (c *client) Exchange(n, goroutines, size int) error {
	want, err := sampleOrder(size)
	if err != nil {
		return err
	}
	return share(n, goroutines, func(n int) error {
		for range n {
			got, err := phoenix.PushFor[order](context.Background(), c.channel, wire.Echo, want)
			if err != nil {
				return err
			}
			if err := got.check(want); err != nil {
				return err
			}
		}
		return nil
	})
}

// orderEvent is the payload of a flood of orders.
type orderEvent struct {
	I    int   `json:"i"`
	Item order `json:"item"`
}

func (c *client) Decode(n, size, batch int) error {
	want, err := sampleOrder(size - wire.ItemOverhead)
	if err != nil {
		return err
	}
	item, err := json.Marshal(want)
	if err != nil {
		return err
	}
	return batches(n, batch, func(n int) error {
		ctx := context.Background()
		sub := c.channel.Subscribe(&phoenix.SubscribeOptions{Events: []string{wire.Flood}, Limit: batch})
		flood := c.channel.PushAsync(ctx, wire.Flood, json.RawMessage(fmt.Appendf(nil, `{"n":%d,"item":%s}`, n, item)))
		i := 0
		for got, err := range phoenix.MessagesFor[orderEvent](ctx, sub) {
			if err != nil {
				return err
			}
			if i++; got.I != i {
				return fmt.Errorf("event %d of a flood came as number %d", got.I, i)
			}
			if err := got.Item.check(want); err != nil {
				return err
			}
			if i == n {
				break
			}
		}
		_, err := flood.Wait(ctx)
		return err
	})
}
