package phoenixtest

import "fmt"

// codecV2 is Phoenix.Socket.V2.JSONSerializer: arrays of five in text frames,
// and three kinds of binary frames.
type codecV2 struct{}

const (
	kindPush      = 0
	kindReply     = 1
	kindBroadcast = 2
)

func (codecV2) decode(op Opcode, data string) (inbound, error) {
	if op == OpBinary {
		return decodeBinary(data)
	}
	return decodeArray(data)
}

// decodeArray takes the first five elements of an array and ignores the rest.
func decodeArray(data string) (inbound, error) {
	parts, err := elements(data)
	if err == nil {
		err = digest(data)
	}
	if err != nil {
		return inbound{}, err
	}
	m := inbound{Message: Message{
		JoinRef: refOf(parts[0]),
		Ref:     refOf(parts[1]),
		Payload: Payload{data: parts[4]},
	}}
	m.Topic, m.oddTopic = nameText(parts[2])
	m.Event, m.oddEvent = nameText(parts[3])
	return m, nil
}

// elements returns the texts of the first five elements of an array.
func elements(data string) (parts [5]string, err error) {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '[' {
		return parts, fmt.Errorf("%w: not an array", errMalformed)
	}
	i = skipSpace(data, i+1)
	for n := 0; ; n++ {
		end, ok := skipValue(data, i, maxDepth)
		if !ok {
			return parts, fmt.Errorf("%w: not JSON", errMalformed)
		}
		if n < len(parts) {
			parts[n] = data[i:end]
		}
		i = skipSpace(data, end)
		switch {
		case i < len(data) && data[i] == ',':
			i = skipSpace(data, i+1)
		case i == len(data) || data[i] != ']' || skipSpace(data, i+1) != len(data):
			return parts, fmt.Errorf("%w: not JSON", errMalformed)
		case n < len(parts)-1:
			return parts, fmt.Errorf("%w: an array of %d", errMalformed, n+1)
		default:
			return parts, nil
		}
	}
}

// decodeBinary parses the one kind of binary frame that clients may send: a
// push with a ref, whose header differs from that of a server's push.
func decodeBinary(data string) (inbound, error) {
	const header = 5
	if len(data) < header || data[0] != kindPush {
		return inbound{}, fmt.Errorf("%w: not a binary push", errMalformed)
	}
	var fields [4]string
	rest := data[header:]
	for i := range fields {
		n := int(data[1+i])
		if n > len(rest) {
			return inbound{}, fmt.Errorf("%w: truncated binary push", errMalformed)
		}
		fields[i], rest = rest[:n], rest[n:]
	}
	return inbound{Message: Message{
		JoinRef: binaryRef(fields[0]),
		Ref:     binaryRef(fields[1]),
		Topic:   fields[2],
		Event:   fields[3],
		Payload: Payload{data: rest, binary: true},
	}}, nil
}

// binaryRef makes the empty string of an empty field, not null: a channel's
// join_ref is never equal to it.
func binaryRef(s string) Ref {
	if s == "" || s[0] == rawRefMark[0] {
		return RawRef(string(appendString(nil, s)))
	}
	return Ref(s)
}

func (codecV2) appendReply(
	dst []byte, joinRef, ref Ref, topic name, status string, p Payload,
) (Opcode, []byte, error) {
	if p.binary {
		return appendFields(dst, kindReply, p.data,
			field{"join_ref", refText(joinRef)}, field{"ref", refText(ref)},
			field{"topic", topic.text}, field{"status", status})
	}
	if err := checkText(topic, ref, status); err != nil {
		return 0, nil, err
	}
	dst = appendEnvelope(dst, joinRef, ref, topic.json)
	dst = append(dst, `,"phx_reply",{"response":`...)
	dst = append(dst, p.text()...)
	dst = append(dst, `,"status":`...)
	dst = appendString(dst, status)
	return OpText, append(dst, "}]"...), nil
}

func (codecV2) appendPush(dst []byte, joinRef Ref, topic name, event string, p Payload) (Opcode, []byte, error) {
	if p.binary {
		return appendFields(dst, kindPush, p.data,
			field{"join_ref", refText(joinRef)}, field{"topic", topic.text}, field{"event", event})
	}
	return appendEvent(dst, joinRef, "", topic, event, p)
}

func (codecV2) appendBroadcast(dst []byte, topic name, event string, p Payload) (Opcode, []byte, error) {
	if p.binary {
		return appendFields(dst, kindBroadcast, p.data, field{"topic", topic.text}, field{"event", event})
	}
	return appendEvent(dst, "", "", topic, event, p)
}

func (codecV2) appendText(dst []byte, m Message) (Opcode, []byte, error) {
	return appendEvent(dst, m.JoinRef, m.Ref, nameOf(m.Topic), m.Event, m.Payload)
}

func appendEvent(dst []byte, joinRef, ref Ref, topic name, event string, p Payload) (Opcode, []byte, error) {
	if err := checkText(topic, ref, event); err != nil {
		return 0, nil, err
	}
	dst = appendEnvelope(dst, joinRef, ref, topic.json)
	dst = append(dst, ',')
	dst = appendString(dst, event)
	dst = append(dst, ',')
	dst = append(dst, p.text()...)
	return OpText, append(dst, ']'), nil
}

func appendEnvelope(dst []byte, joinRef, ref Ref, topicJSON string) []byte {
	dst = append(dst, '[')
	dst = appendRef(dst, joinRef)
	dst = append(dst, ',')
	dst = appendRef(dst, ref)
	dst = append(dst, ',')
	return append(dst, topicJSON...)
}

type field struct{ name, text string }

func appendFields(dst []byte, kind byte, data string, fields ...field) (Opcode, []byte, error) {
	dst = append(dst, kind)
	for _, f := range fields {
		if len(f.text) > maxHeaderField {
			return 0, nil, tooLong(f.name, f.text)
		}
		dst = append(dst, byte(len(f.text))) //nolint:gosec // checked above
	}
	for _, f := range fields {
		dst = append(dst, f.text...)
	}
	return OpBinary, append(dst, data...), nil
}

// refText is a ref as to_string/1 has it.
func refText(r Ref) string {
	if r == "" {
		return ""
	}
	if r[0] != rawRefMark[0] {
		return string(r)
	}
	if s, ok := stringOf(string(r[1:])); ok {
		return s
	}
	return string(r[1:])
}
