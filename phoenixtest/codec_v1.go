package phoenixtest

import (
	"errors"
	"fmt"
)

// codecV1 is Phoenix.Socket.V1.JSONSerializer: objects, whatever the opcode. It
// knows a join_ref from clients but never sends one.
type codecV1 struct{}

var errBinaryV1 = errors.New("phoenixtest: vsn 1.0.0 has no binary messages")

func (codecV1) decode(_ Opcode, data string) (inbound, error) {
	fields := map[string]string{"join_ref": "null"}
	err := members(data, fields)
	if err == nil {
		err = digest(data)
	}
	if err != nil {
		return inbound{}, err
	}
	for _, key := range []string{"topic", "event", "payload", "ref"} {
		if fields[key] == "" {
			return inbound{}, fmt.Errorf("%w: no %q", errMalformed, key)
		}
	}
	m := inbound{Message: Message{
		JoinRef: refOf(fields["join_ref"]),
		Ref:     refOf(fields["ref"]),
		Payload: Payload{data: fields["payload"]},
	}}
	m.Topic, m.oddTopic = nameText(fields["topic"])
	m.Event, m.oddEvent = nameText(fields["event"])
	return m, nil
}

// members puts the texts of an object's values into fields. Of a key that is
// there twice the first counts: Jason collects the members in reverse, and
// maps:from_list/1 keeps the last of equal keys.
func members(data string, fields map[string]string) error {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' {
		return fmt.Errorf("%w: not an object", errMalformed)
	}
	if !validJSON(data) {
		return fmt.Errorf("%w: not JSON", errMalformed)
	}
	// It is valid, so there is nothing more to check.
	i = skipSpace(data, i+1)
	seen := map[string]bool{}
	for data[i] != '}' {
		end, _ := skipString(data, i)
		key, _ := stringOf(data[i:end])
		from, _ := skipKey(data, i)
		end, _ = skipValue(data, from, maxDepth)
		if !seen[key] {
			seen[key] = true
			fields[key] = data[from:end]
		}
		if i = skipSpace(data, end); data[i] == ',' {
			i = skipSpace(data, i+1)
		}
	}
	return nil
}

func (codecV1) appendReply(dst []byte, _, ref Ref, topic name, status string, p Payload) (Opcode, []byte, error) {
	if p.binary {
		return 0, nil, errBinaryV1
	}
	if err := checkText(topic, ref, status); err != nil {
		return 0, nil, err
	}
	dst = append(dst, `{"event":"phx_reply","payload":{"response":`...)
	dst = append(dst, p.text()...)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, status)
	dst = append(dst, '}')
	return OpText, appendTail(dst, ref, topic), nil
}

func (c codecV1) appendPush(dst []byte, _ Ref, topic name, event string, p Payload) (Opcode, []byte, error) {
	return c.appendBroadcast(dst, topic, event, p)
}

func (codecV1) appendBroadcast(dst []byte, topic name, event string, p Payload) (Opcode, []byte, error) {
	if p.binary {
		return 0, nil, errBinaryV1
	}
	return appendObject(dst, "", topic, event, p)
}

func (codecV1) appendText(dst []byte, m Message) (Opcode, []byte, error) {
	return appendObject(dst, m.Ref, nameOf(m.Topic), m.Event, m.Payload)
}

func appendObject(dst []byte, ref Ref, topic name, event string, p Payload) (Opcode, []byte, error) {
	if err := checkText(topic, ref, event); err != nil {
		return 0, nil, err
	}
	dst = append(dst, `{"event":`...)
	dst = appendString(dst, event)
	dst = append(dst, `,"payload":`...)
	dst = append(dst, p.text()...)
	return OpText, appendTail(dst, ref, topic), nil
}

func appendTail(dst []byte, ref Ref, topic name) []byte {
	dst = append(dst, `,"ref":`...)
	dst = appendRef(dst, ref)
	dst = append(dst, `,"topic":`...)
	dst = append(dst, topic.json...)
	return append(dst, '}')
}
