//go:build !js

package transport

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// tcpPair returns the two ends of a connection of the system's.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	client, err = net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = lis.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// What the network does not take at once waits for it, until the deadline, and then
// goes on where it was. With wrapped, a direct write is impossible.
func TestAWriteGoesOnWhereADirectWriteEnded(t *testing.T) {
	t.Parallel()
	for _, wrapped := range []bool{false, true} {
		client, server := tcpPair(t)
		if wrapped {
			client = struct{ net.Conn }{client}
		}
		cork := newCorkConn(client)
		cork.arm()
		if wrapped && cork.direct != nil {
			t.Error("the bytes of a user's connection go past its Write")
		}
		want := pattern(1 << 20)
		small, large := want[:1000], bytes.Repeat(want, 32)
		for range 3 {
			cork.cork()
			if _, err := cork.Write(small); err != nil {
				t.Fatal(err)
			}
			if done, err := cork.uncork(time.Now().Add(time.Minute)); !done || err != nil {
				t.Fatal(done, err)
			}
			mustRead(t, server, small)
			cork.cork()
			if _, err := cork.Write(large); err != nil {
				t.Fatal(err)
			}
			if done, err := cork.uncork(time.Now().Add(20 * time.Millisecond)); done || err != nil {
				t.Fatal("nobody reads, but it was written:", done, err)
			}
			if appended, flushed := cork.progress(); flushed == 0 || flushed >= appended {
				t.Errorf("the network took %d of %d bytes", flushed, appended)
			}
			ended := make(chan error, 1)
			go func() {
				done, err := cork.uncork(time.Now().Add(time.Minute))
				if !done && err == nil {
					err = io.ErrShortWrite
				}
				ended <- err
			}()
			mustRead(t, server, large)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		server.Close()
		if err := cork.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestADirectWriteToALostConnectionIsAnError(t *testing.T) {
	t.Parallel()
	client, server := tcpPair(t)
	cork := newCorkConn(client)
	cork.arm()
	if err := server.(*net.TCPConn).SetLinger(0); err != nil { //nolint:forcetypeassert // it is what Accept returns
		t.Fatal(err)
	}
	server.Close()
	_, _ = client.Read(make([]byte, 1)) // until the reset has come
	cork.cork()
	if _, err := cork.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if done, err := cork.uncork(time.Now().Add(time.Minute)); done || err == nil {
		t.Error("it was written:", done, err)
	}
}
