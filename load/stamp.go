package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A stamp travels in the payload of a published message, so that whoever receives
// it knows which message it is and when it was published. It is a text that needs
// no escape in JSON, and it is found wherever the server puts it: the payload need
// not come back as it was sent.
//
//	~phx:RUN:USER:SEQ:PREV:AT~
type stamp struct {
	user int
	seq  uint64 // the number of the message in its topic, from 1
	prev uint64 // the seq of the publisher's message before, or 0
	at   time.Duration
}

const (
	stampBegin = "~phx:"
	stampEnd   = '~'
	stampMax   = 128
	// stampKey is where the stamp stands in a payload that is a JSON object.
	stampKey = "load"
)

// text returns the stamp as text. Numbers are in base 36.
func (s stamp) text(run string) string {
	b := make([]byte, 0, 64)
	b = append(b, stampBegin...)
	b = append(b, run...)
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(s.user), 36)
	b = append(b, ':')
	b = strconv.AppendUint(b, s.seq, 36)
	b = append(b, ':')
	b = strconv.AppendUint(b, s.prev, 36)
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(s.at), 36)
	return string(append(b, stampEnd))
}

// findStamp looks for a stamp in a payload. Ours is false if it is that of another
// run.
func findStamp(payload []byte, run string) (s stamp, ours, found bool) {
	_, rest, found := bytes.Cut(payload, []byte(stampBegin))
	if !found {
		return stamp{}, false, false
	}
	end := bytes.IndexByte(rest[:min(len(rest), stampMax)], stampEnd)
	if end < 0 {
		return stamp{}, false, false
	}
	var fields [5][]byte
	rest = rest[:end]
	for n := range fields {
		if n == len(fields)-1 {
			fields[n] = rest
			break
		}
		var ok bool
		if fields[n], rest, ok = bytes.Cut(rest, []byte{':'}); !ok {
			return stamp{}, false, false
		}
	}
	user, err1 := strconv.ParseInt(string(fields[1]), 36, 0)
	seq, err2 := strconv.ParseUint(string(fields[2]), 36, 64)
	prev, err3 := strconv.ParseUint(string(fields[3]), 36, 64)
	at, err4 := strconv.ParseInt(string(fields[4]), 36, 64)
	if err1 != nil || err2 != nil || err3 != nil || err4 != nil || seq == 0 {
		return stamp{}, false, false
	}
	return stamp{user: int(user), seq: seq, prev: prev, at: time.Duration(at)}, string(fields[0]) == run, true
}

// Stampable returns an error if [Channel.Publish] cannot put its stamp into a payload
// in JSON.
func Stampable(payload json.RawMessage) error {
	if _, ok := stampJSON(payload, ""); !ok {
		return errors.New("load: a payload that is published must be a JSON object, a phoenix.Binary or a function")
	}
	if !bytes.Contains(payload, []byte(`"`+stampKey+`"`)) {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return fmt.Errorf("load: a payload that is published: %w", err)
	}
	if _, taken := fields[stampKey]; taken {
		return errors.New(`load: a payload that is published must not have a field "load": the stamp goes there`)
	}
	return nil
}

// stampJSON puts a stamp into the text of a JSON object.
func stampJSON(object []byte, text string) (json.RawMessage, bool) {
	object = bytes.TrimSpace(object)
	if len(object) < 2 || object[0] != '{' {
		return nil, false
	}
	out := make([]byte, 0, len(object)+len(text)+len(stampKey)+8)
	out = append(out, `{"`...)
	out = append(out, stampKey...)
	out = append(out, `":"`...)
	out = append(out, text...)
	out = append(out, '"')
	if rest := bytes.TrimSpace(object[1:]); rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, object[1:]...), true
}
