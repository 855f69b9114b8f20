package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/phxgo/phoenix"
)

// joinParamsFlag adds the flag for the payload of a join.
func joinParamsFlag(f *pflag.FlagSet, value *string) {
	f.StringVar(value, "join", "", "params of the join: `JSON`, @FILE or -")
}

// readPayload returns the JSON text of an argument: the argument itself, @FILE, or -
// for the standard input. Without an argument it is {}.
func readPayload(a *app, arg string) (json.RawMessage, error) {
	data, err := readData(a, arg)
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return json.RawMessage("{}"), nil
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		// The error of encoding/json shows at most one character of the text.
		return nil, usage(fmt.Sprintf("the payload is not JSON: %v. Quote it for your shell: '{\"a\":1}'", err))
	}
	return data, nil
}

// mostInput is how many bytes of a file or of the standard input are read.
const mostInput = 64 << 20

func readData(a *app, arg string) ([]byte, error) {
	switch {
	case arg == "-":
		return readAll(a.stdin)
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		return readAll(f)
	default:
		return []byte(arg), nil
	}
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, mostInput+1))
	if err == nil && len(data) > mostInput {
		err = fmt.Errorf("more than %d bytes of input", mostInput)
	}
	return data, err
}

// oneLine returns the JSON text of a payload without line breaks.
func oneLine(p phoenix.Payload) json.RawMessage {
	return json.RawMessage(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' ' // white space between tokens: strings cannot have it
		}
		return r
	}, p.String()))
}

// payloadText returns a payload for a line of text.
func payloadText(p phoenix.Payload) string {
	if p.IsBinary() {
		return fmt.Sprintf("binary, %d bytes: %s", len(p.Bytes()), base64.StdEncoding.EncodeToString(p.Bytes()))
	}
	return clean(string(oneLine(p)))
}
