package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/phxgo/phoenix/token"
)

// The benchmarks of signed tokens report how often the time of the bare HMAC they
// take, of the same bytes in the same run, with the key derived before in both:
// "x-hmac" of one that is made for each token, as hmac.New does, and "x-hmac-reused"
// of one that is made once and Reset.

var benchmarkData = []struct {
	name string
	data any
}{
	{"id", 42},
	{"uuid", "018f4e9c-5d1b-7c3e-9a57-0c5a4f3b2d1e"},
	{"map", map[string]any{"id": 42, "role": "admin"}},
	{"1KiB", strings.Repeat("x", 1024)},
}

func BenchmarkSign(b *testing.B) {
	for _, tt := range benchmarkData {
		b.Run(tt.name, func(b *testing.B) {
			s := newSigner(b, skb, nil)
			text, err := s.Sign("user socket", tt.data)
			if err != nil {
				b.Fatal(err)
			}
			compareWithHMAC(b, text, func() error {
				_, err := s.Sign("user socket", tt.data)
				return err
			})
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, tt := range benchmarkData {
		b.Run(tt.name, func(b *testing.B) {
			s := newSigner(b, skb, nil)
			text, err := s.Sign("user socket", tt.data)
			if err != nil {
				b.Fatal(err)
			}
			compareWithHMAC(b, text, func() error {
				_, err := s.Verify("user socket", text, token.MaxAge(time.Hour))
				return err
			})
		})
	}
}

// compareWithHMAC takes turns with the HMAC, in rounds so short that whatever else
// goes on disturbs both alike.
func compareWithHMAC(b *testing.B, text string, op func() error) {
	b.Helper()
	b.ReportAllocs()
	key := make([]byte, 32)
	signed := []byte(text[:strings.LastIndexByte(text, '.')])
	sum := make([]byte, 0, sha256.Size)
	reused := hmac.New(sha256.New, key)
	const round = 64
	timeOf := func(fn func()) time.Duration {
		start := time.Now()
		for range round {
			fn()
		}
		return time.Since(start)
	}
	var took, fresh, again time.Duration
	start := time.Now()
	for n := 1; b.Loop(); n++ {
		if err := op(); err != nil {
			b.Fatal(err)
		}
		if n%round != 0 {
			continue
		}
		took += time.Since(start)
		b.StopTimer()
		fresh += timeOf(func() {
			h := hmac.New(sha256.New, key)
			h.Write(signed)
			sum = h.Sum(sum[:0])
		})
		again += timeOf(func() {
			reused.Reset()
			reused.Write(signed)
			sum = reused.Sum(sum[:0])
		})
		b.StartTimer()
		start = time.Now()
	}
	if took > 0 {
		b.ReportMetric(float64(took)/float64(fresh), "x-hmac")
		b.ReportMetric(float64(took)/float64(again), "x-hmac-reused")
	}
}

func BenchmarkEncrypt(b *testing.B) {
	s := newSigner(b, skb, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Encrypt("user secret", 42); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	s := newSigner(b, skb, nil)
	text, err := s.Encrypt("user secret", 42)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Decrypt("user secret", text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDerive is the key derivation, which happens once for a salt.
func BenchmarkDerive(b *testing.B) {
	for b.Loop() {
		if _, err := newSigner(b, skb, nil).Sign("user socket", 42); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyParallel is that of a server, with one Signer for all.
func BenchmarkVerifyParallel(b *testing.B) {
	s := newSigner(b, skb, nil)
	text, err := s.Sign("user socket", 42)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Verify("user socket", text); err != nil {
				b.Error(err)
			}
		}
	})
}
