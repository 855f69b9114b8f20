//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// An inspector is a connection of the DevTools protocol, over which one call is
// made at a time. Events are ignored.
type inspector struct {
	conn *websocket.Conn
	id   int
}

func inspect(ctx context.Context, url string) (*inspector, error) {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("devtools: %w", err)
	}
	conn.SetReadLimit(-1)
	return &inspector{conn: conn}, nil
}

func (i *inspector) close() { i.conn.CloseNow() }

// call calls a method and decodes its result.
func (i *inspector) call(ctx context.Context, method string, params, result any) error {
	i.id++
	request := map[string]any{"id": i.id, "method": method, "params": params}
	if err := wsjson.Write(ctx, i.conn, request); err != nil {
		return fmt.Errorf("devtools: %s: %w", method, err)
	}
	for {
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := wsjson.Read(ctx, i.conn, &answer); err != nil {
			return fmt.Errorf("devtools: %s: %w", method, err)
		}
		switch {
		case answer.ID != i.id:
			continue
		case answer.Error != nil:
			return fmt.Errorf("devtools: %s: %s", method, answer.Error.Message)
		}
		return json.Unmarshal(answer.Result, result)
	}
}

// evaluate evaluates a JavaScript expression, waits for its promise if it is
// one, and decodes its value.
func (i *inspector) evaluate(ctx context.Context, expression string, value any) error {
	var result struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	params := map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}
	if err := i.call(ctx, "Runtime.evaluate", params, &result); err != nil {
		return err
	}
	if e := result.Exception; e != nil {
		return errors.New(e.Text + " " + e.Exception.Description)
	}
	if value == nil {
		return nil
	}
	return json.Unmarshal(result.Result.Value, value)
}
