package token_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/phxgo/phoenix/token"
)

// payloads returns what the tokens among the vectors are made of.
func payloads(tb testing.TB) [][]byte {
	tb.Helper()
	var all [][]byte
	for _, v := range vectors {
		b, err := base64.RawURLEncoding.DecodeString(strings.Split(v.token, ".")[1])
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, b)
	}
	for _, v := range verifyOnly {
		b, err := base64.RawURLEncoding.DecodeString(strings.Split(v.token, ".")[1])
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// addShort leaves out what would take most of the time.
func addShort(f *testing.F, term string) {
	f.Helper()
	if len(term) <= 2000 {
		f.Add([]byte(term))
	}
}

// FuzzDecode reads any bytes as a term. What can be read can be written, and comes
// back the same; and it becomes any Go type, or there is an error.
func FuzzDecode(f *testing.F) {
	for _, b := range payloads(f) {
		f.Add(b)
	}
	for _, tt := range badTerms {
		addShort(f, tt.term)
	}
	for _, tt := range goodTerms {
		addShort(f, tt.term)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		term, err := token.Decode(data)
		if err != nil {
			var bad *token.TermError
			if !errors.As(err, &bad) || term != nil {
				t.Fatalf("Decode: got %v, %v, want nil and a *TermError", term, err)
			}
			return
		}
		once, err := token.Encode(term)
		if err != nil {
			return // atoms in UTF-8 may make it too big
		}
		again, err := token.Decode(once)
		if err != nil {
			t.Fatalf("Decode of what Encode wrote: %v", err)
		}
		if !equal(t, term, again) {
			t.Fatalf("Decode of what Encode wrote: got %v, want %v", again, term)
		}
		if twice, err := token.Encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("Encode: got %x, %v the second time, want %x", twice, err, once)
		}
		convert[int8](t, term)
		convert[uint64](t, term)
		convert[float32](t, term)
		convert[*string](t, term)
		convert[[]byte](t, term)
		convert[[3]int](t, term)
		convert[token.Charlist](t, term)
		convert[token.Tuple](t, term)
		convert[map[string]any](t, term)
		convert[map[any][]float64](t, term)
		convert[user](t, term)
	})
}

// convert makes a T of a term, and if that works, the same T of its own term.
func convert[T any](t *testing.T, term any) {
	t.Helper()
	v, err := token.As[T](term)
	if err != nil {
		var bad *token.TermError
		if !errors.As(err, &bad) {
			t.Fatalf("As[%T]: got error %v, want a *TermError", v, err)
		}
		return
	}
	again, err := token.As[T](v)
	if err != nil || !equal(t, v, again) {
		t.Fatalf("As[%T] of itself: got %v, %v, want %v", v, again, err, v)
	}
}

// FuzzOpen verifies and decrypts any text, and any bytes that have been signed and
// encrypted.
func FuzzOpen(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.token, []byte(nil))
	}
	for _, v := range verifyOnly {
		f.Add(v.token, []byte(nil))
	}
	for _, text := range decryptOnly {
		f.Add(text.token, []byte(nil))
	}
	for _, b := range payloads(f) {
		f.Add("", b)
	}
	for _, text := range []string{".", "..", "...", "SFMyNTY..", "SFMyNTY.=.=", "XCP.", "XCP.AAAA", "QTEyOEdDTQ....", "QTEyOEdDTQ.A.A.A.A"} {
		f.Add(text, []byte{131})
	}
	signer := newSigner(f, skb, &token.Options{KeyIterations: 1})
	f.Fuzz(func(t *testing.T, text string, message []byte) {
		for _, open := range []func(salt, token string, opts ...token.VerifyOption) (any, error){signer.Verify, signer.Decrypt} {
			data, err := open("salt", text, token.RejectFuture(0))
			want := token.ErrInvalid
			if text == "" {
				want = token.ErrMissing
			}
			if !errors.Is(err, want) || data != nil {
				t.Fatalf("%q: got %v, %v, want %v", text, data, err, want)
			}
		}
		signed, err := token.SignMessage(signer, "salt", message)
		if err != nil {
			t.Fatal("SignMessage: ", err)
		}
		sealed, err := token.EncryptMessage(signer, "salt", message)
		if err != nil {
			t.Fatal("EncryptMessage: ", err)
		}
		for _, opts := range [][]token.VerifyOption{nil, {token.Infinity}, {token.RejectFuture(0)}} {
			data, err := signer.Verify("salt", signed, opts...)
			same, err2 := signer.Decrypt("salt", sealed, opts...)
			if !equal(t, data, same) || (err == nil) != (err2 == nil) {
				t.Fatalf("Verify: got %v, %v; Decrypt: got %v, %v", data, err, same, err2)
			}
			var bad *token.TermError
			if err != nil && !errors.As(err, &bad) && !errors.Is(err, token.ErrExpired) && !errors.Is(err, token.ErrInvalid) {
				t.Fatalf("Verify: got error %v", err)
			}
		}
	})
}
