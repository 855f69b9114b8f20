package transport_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/transport"
)

// A conversation with a Phoenix server without a Socket: the frames are written and
// read by hand.
func Example() {
	// A real program has the URL of its server, and needs no HTTPClient.
	server, err := phoenixtest.Start(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	server.Handle("room:*", phoenixtest.Channel{})

	endpoint, err := url.Parse(server.URL() + "?vsn=2.0.0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := transport.WebSocket(nil).Dial(ctx, &transport.DialRequest{
		URL:        endpoint,
		HTTPClient: server.HTTPClient(),
	})
	if err != nil {
		log.Fatal(err)
	}

	// The join ref, the ref, the topic, the event and the payload.
	join := transport.Frame{Data: []byte(`["1","1","room:lobby","phx_join",{}]`)}
	if _, err := conn.WriteFrames([]transport.Frame{join}, time.Now().Add(5*time.Second)); err != nil {
		log.Fatal(err)
	}
	reply, err := conn.ReadFrame()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(reply.Data))

	if err := conn.Close(ctx, 1000, "bye"); err != nil {
		log.Fatal(err)
	}
	_, err = conn.ReadFrame()
	fmt.Println("open:", err == nil)

	// Output:
	// ["1","1","room:lobby","phx_reply",{"response":{},"status":"ok"}]
	// open: false
}
