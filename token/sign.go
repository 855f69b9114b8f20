package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
)

// maxTokenSize is more than any token of a term of maxTermSize has.
const maxTokenSize = maxTermSize/3*4 + 1024

// The headers of signed tokens. Only the first is written.
const (
	headerHS256 = "SFMyNTY"
	headerHS384 = "SFMzODQ"
	headerHS512 = "SFM1MTI"
)

// A mac is an HMAC-SHA256 with a key, and buffers.
type mac struct {
	hash           hash.Hash
	text, sum, got []byte
}

// maxSpareBuffer bounds what a mac keeps of the largest token it has seen.
const maxSpareBuffer = 4 << 10

func (k *key) takeMAC() *mac {
	if m := k.spare.Swap(nil); m != nil {
		m.hash.Reset()
		return m
	}
	return &mac{hash: k.newHMAC(sha256.New)}
}

func (k *key) newHMAC(digest func() hash.Hash) hash.Hash {
	b, _ := k.bytes() // a key that is handed out has no error
	return hmac.New(digest, b)
}

func (k *key) giveMAC(m *mac) {
	if cap(m.text) <= maxSpareBuffer && cap(m.got) <= maxSpareBuffer {
		k.spare.Store(m)
	}
}

// sign makes a token of a message.
func (k *key) sign(message []byte) string {
	m := k.takeMAC()
	defer k.giveMAC(m)
	m.text = append(m.text[:0], headerHS256+"."...)
	m.text = base64.RawURLEncoding.AppendEncode(m.text, message)
	m.hash.Write(m.text)
	m.sum = m.hash.Sum(m.sum[:0])
	m.text = base64.RawURLEncoding.AppendEncode(append(m.text, '.'), m.sum)
	return string(m.text)
}

// verify returns the message of a token that sign has made, or any release of
// Plug.Crypto since 1.0.
func (k *key) verify(token string) ([]byte, error) {
	m := k.takeMAC()
	defer k.giveMAC(m)
	m.text = append(m.text[:0], token...)
	header, rest, _ := bytes.Cut(m.text, []byte("."))
	payload, signature, ok := bytes.Cut(rest, []byte("."))
	if !ok {
		return nil, ErrInvalid
	}
	if m.got, ok = appendDecode64(m.got[:0], signature); !ok {
		return nil, ErrInvalid
	}
	message, ok := appendDecode64(nil, payload)
	if !ok {
		return nil, ErrInvalid
	}
	h := m.hash
	switch string(header) {
	case headerHS256:
	case headerHS384:
		h = k.newHMAC(sha512.New384)
	case headerHS512:
		h = k.newHMAC(sha512.New)
	default:
		return nil, ErrInvalid
	}
	h.Write(m.text[:len(header)+1+len(payload)])
	m.sum = h.Sum(m.sum[:0])
	if !hmac.Equal(m.sum, m.got) {
		return nil, ErrInvalid
	}
	return message, nil
}

// appendDecode64 decodes base64url as Elixir does with padding: false: padding is
// accepted where it is right.
func appendDecode64(dst, b []byte) ([]byte, bool) {
	if len(b)%4 == 0 && bytes.HasSuffix(b, []byte("=")) {
		b = bytes.TrimSuffix(b[:len(b)-1], []byte("="))
	}
	if bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0 {
		return dst, false // which package base64 skips
	}
	dst, err := base64.RawURLEncoding.AppendDecode(dst, b)
	return dst, err == nil
}

func decode64(s string) ([]byte, bool) { return appendDecode64(nil, []byte(s)) }
