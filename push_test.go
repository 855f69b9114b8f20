package phoenix_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/phxgo/phoenix"
)

func TestPushReturnsTheReply(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *harness) {
		c := h.joined(h.connected(nil), "room:1", nil)
		reply, err := c.Push(t.Context(), "echo", json.RawMessage(`{"a":1}`))
		if err != nil || reply.Status != "ok" || reply.Response.String() != `{"a":1}` {
			t.Errorf("Push = %v, %v", reply, err)
		}
		_, err = c.Push(t.Context(), "err", map[string]string{"reason": "no"})
		if re := (*phoenix.ReplyError)(nil); !errors.As(err, &re) || re.Reason() != "no" {
			t.Errorf("Push of err = %v", err)
		}
		h.at(0)
	})
}
