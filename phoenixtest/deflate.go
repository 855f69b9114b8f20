package phoenixtest

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// deflateName is the extension of RFC 7692.
const deflateName = "permessage-deflate"

// deflateParams are what the server accepts of a client's offer to compress.
type deflateParams struct {
	serverNoTakeover, clientNoTakeover bool
	answer                             string
}

// negotiateDeflate accepts the first offer that can be served, as Bandit does: what
// was asked for is repeated. It returns nil if there is none.
func negotiateDeflate(headers []string) *deflateParams {
	for offer := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, rest, _ := strings.Cut(offer, ";")
		if strings.TrimSpace(name) != deflateName {
			continue
		}
		if p := acceptDeflate(rest); p != nil {
			return p
		}
	}
	return nil
}

// acceptDeflate returns nil for an offer with anything unknown, double or out of
// range, and for one with a smaller window than compress/flate has.
func acceptDeflate(offer string) *deflateParams {
	const serverNo, clientNo = "server_no_context_takeover", "client_no_context_takeover"
	const serverBits, clientBits = "server_max_window_bits", "client_max_window_bits"
	params := make(map[string]string)
	for param := range strings.SplitSeq(offer, ";") {
		if param = strings.TrimSpace(param); param == "" {
			continue
		}
		name, value, valued := strings.Cut(param, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if name == clientBits && !valued {
			value, valued = "15", true
		}
		_, twice := params[name]
		bits, err := strconv.Atoi(value)
		switch {
		case twice:
			return nil
		case (name == serverNo || name == clientNo) && !valued:
		case name == clientBits && err == nil && bits >= 8 && bits <= 15:
		case name == serverBits && err == nil && bits == 15:
		default:
			return nil
		}
		params[name] = value
	}
	p := &deflateParams{answer: deflateName}
	for _, name := range []string{serverNo, clientNo, serverBits, clientBits} {
		if value, ok := params[name]; ok {
			p.answer += ";" + name
			if value != "" {
				p.answer += "=" + value
			}
		}
	}
	_, p.serverNoTakeover = params[serverNo]
	_, p.clientNoTakeover = params[clientNo]
	return p
}

// deflateTail ends each message on its way into the compressor, and is not sent.
const deflateTail = "\x00\x00\xff\xff"

// inflateTail is that and an empty last block, so that the end is an EOF.
const inflateTail = deflateTail + "\x01\x00\x00\xff\xff"

// deflateWindow is how far back compressed data refers.
const deflateWindow = 32 << 10

// A deflater compresses the messages that the server sends.
type deflater struct {
	takeover bool
	out      bytes.Buffer
	w        *flate.Writer // made for the first message: it has a megabyte
}

func newDeflater(p *deflateParams) *deflater {
	if p == nil {
		return nil
	}
	return &deflater{takeover: !p.serverNoTakeover}
}

// message returns a message compressed, valid until the next call.
func (d *deflater) message(data []byte) []byte {
	if d.out.Cap() > keepBuffer {
		d.out = bytes.Buffer{}
	}
	d.out.Reset()
	switch {
	case d.w == nil:
		d.w, _ = flate.NewWriter(&d.out, flate.DefaultCompression) // the level is right
	case !d.takeover:
		d.w.Reset(&d.out)
	}
	d.w.Write(data) //nolint:errcheck,gosec // into memory
	d.w.Flush()     //nolint:errcheck,gosec // as above
	return bytes.TrimSuffix(d.out.Bytes(), []byte(deflateTail))
}

// Bandit inflates in steps, and after the first it refuses what has become more than
// so many times its size.
const (
	inflateStep  = 16 << 10
	inflateRatio = 25
)

// inflateLimit returns how many bytes a message of compressed bytes may inflate to:
// those of the steps before the one that is refused.
func inflateLimit(compressed, maxFrame int) int {
	limit := ((compressed*inflateRatio+inflateStep-1)/inflateStep+1)*inflateStep - 1
	if maxFrame < 0 {
		return limit
	}
	return min(limit, maxFrame)
}

// An inflater reads the compressed messages of a client.
type inflater struct {
	takeover bool
	r        io.ReadCloser
	window   []byte // the end of what came before
}

func newInflater(p *deflateParams) *inflater {
	if p == nil {
		return nil
	}
	return &inflater{takeover: !p.clientNoTakeover}
}

// message returns what a compressed message inflates to. Too much is an error, before
// it is in memory.
func (i *inflater) message(data []byte, maxFrame int) ([]byte, error) {
	limit := inflateLimit(len(data), maxFrame)
	src := io.MultiReader(bytes.NewReader(data), strings.NewReader(inflateTail))
	if i.r == nil {
		i.r = flate.NewReaderDict(src, i.window)
	} else if err := i.r.(flate.Resetter).Reset(src, i.window); err != nil { //nolint:errcheck,forcetypeassert // as documented
		return nil, err
	}
	message, err := io.ReadAll(io.LimitReader(i.r, int64(limit)+1))
	switch {
	case len(message) > limit:
		return nil, &frameError{closeTooBig, "the message inflates to too much"}
	case errors.As(err, new(flate.CorruptInputError)), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &frameError{closeInvalidData, "compressed data is corrupt"}
	case err != nil:
		return nil, err
	}
	if i.takeover {
		i.window = append(i.window, message[max(0, len(message)-deflateWindow):]...)
		i.window = slices.Delete(i.window, 0, max(0, len(i.window)-deflateWindow))
	}
	return message, nil
}
