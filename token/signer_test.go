package token_test

import (
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/token"
)

func TestNewSignerErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		secret string
		opts   *token.Options
		want   string
	}{
		{"nineteen characters", nil, "token: the secret key base has less than 20 bytes"},
		{skb, &token.Options{KeyIterations: -1}, "token: bad Options.KeyIterations: -1 is negative"},
		{skb, &token.Options{KeyLength: -1}, "token: bad Options.KeyLength: -1 is not from 1 to 65536"},
		{skb, &token.Options{KeyLength: 1 << 30}, "token: bad Options.KeyLength: 1073741824 is not from 1 to 65536"},
		{skb, &token.Options{KeyDigest: crypto.MD5}, "token: bad Options.KeyDigest: MD5 is not SHA-256, SHA-384 or SHA-512"},
	} {
		if s, err := token.NewSigner(tt.secret, tt.opts); err == nil || err.Error() != tt.want || s != nil {
			t.Errorf("NewSigner with %+v: got %v, %v, want error %s", tt.opts, s, err, tt.want)
		}
	}
	if _, err := token.NewSigner(skb[:20], &token.Options{}); err != nil {
		t.Errorf("NewSigner with 20 bytes: %v", err)
	}
}

// TestKeys has the keys of the vectors.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		secret, salt string
		opts         *token.Options
		want         string
	}{
		{skb, "user socket", nil, "9e97e9f6316f4b6b42979ba5aa318b13b6af0b202832eedefcaf87f4c90527fb"},
		{skb, "user auth", nil, "ed6a18b14bfc8b68e8340dc75508faf6052d7fb93ab5cea19e20e22efb2044ad"},
		{docsSKB, "user auth", nil, "71e6bb9087444023e8313bbb80bf25945ba411c024f266b2954f9ca21db07a01"},
		{skb, "user secret", nil, "4e44aefcc5d890d421f474c62d95cc9273d66d688fb18fe027f8f4e7ddbef152"},
		{
			skb, "user socket", &token.Options{KeyDigest: crypto.SHA512, KeyIterations: 10, KeyLength: 64},
			"7281e6afc70c75ca55bd6e837ea677a306275a2a5e0a0a26ec9a8a5946e4bebe" +
				"9d89929f09f8f5da142eb9eae4750fcb5df1827fcaedb2b77ba82d2ebb09edfd",
		},
	} {
		got, err := token.Derived(newSigner(t, tt.secret, tt.opts), tt.salt)
		if err != nil || hex.EncodeToString(got) != tt.want {
			t.Errorf("key of %q: got %x, %v, want %s", tt.salt, got, err, tt.want)
		}
	}
}

// TestKeyDigest384 is a token of plug_crypto with key_digest: :sha384,
// key_iterations: 7 and key_length: 20.
func TestKeyDigest384(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, &token.Options{KeyDigest: crypto.SHA384, KeyIterations: 7, KeyLength: 20})
	got, err := s.Sign("user socket", 1, at(1700000000))
	const want = "SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.B2wbcsfeF5AkpvP_DzGWoBq5_qQ_CUWGv3SFD4qOZSI"
	if err != nil || got != want {
		t.Errorf("Sign: got %s, %v, want %s", got, err, want)
	}
}

// TestKeysAreBounded takes more salts than are kept.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	s, keys := token.NewSignerKeys(skb, 1)
	first, err := s.Sign("salt 0", 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * token.MaxKeys {
		salt := fmt.Sprint("salt ", i)
		text, err := s.Sign(salt, i)
		if err != nil {
			t.Fatal("Sign: ", err)
		}
		if got, err := token.VerifyFor[int](s, salt, text); err != nil || got != i {
			t.Errorf("VerifyFor: got %d, %v, want %d", got, err, i)
		}
		n, ok := keys(salt)
		if want := min(i+1, token.MaxKeys); n != want || !ok {
			t.Fatalf("after %d salts: %d keys, the last among them %t, want %d", i+1, n, ok, want)
		}
	}
	if got, err := token.VerifyFor[int](s, "salt 0", first); err != nil || got != 1 {
		t.Errorf("VerifyFor with a key that was dropped: got %d, %v", got, err)
	}
}

// TestConcurrently uses one Signer from many goroutines, of which some need the
// same key first.
func TestConcurrently(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				salt := fmt.Sprint("salt ", (i+j)%4)
				want := strings.Repeat("x", i*j*20) // more than what is kept of it, too
				text, err := s.Sign(salt, want)
				if err != nil {
					t.Error("Sign: ", err)
				}
				if got, err := s.Verify(salt, text); err != nil || got != want {
					t.Errorf("Verify: got %v, %v", got, err)
				}
				if _, err := s.Verify("another "+salt, text); !errors.Is(err, token.ErrInvalid) {
					t.Errorf("Verify with another salt: got error %v, want ErrInvalid", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestSecretsDoNotShow prints a Signer in every way.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	if _, err := s.Sign("user socket", "data"); err != nil {
		t.Fatal(err)
	}
	key, err := token.Derived(s, "user socket")
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		Signer *token.Signer
		hidden *token.Signer
		inside token.Signer
	}
	values := []any{s, *s, holder{s, s, *s}, &holder{s, s, *s}, []*token.Signer{s}, map[string]*token.Signer{"a": s}, token.Signer{}, (*token.Signer)(nil)}
	var b strings.Builder
	for _, v := range values {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", "-20", " ", "0"} {
				fmt.Fprintf(&b, "%"+flags+string(verb)+"\n", v)
			}
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("made", slog.Any("v", v))
		slog.New(slog.NewJSONHandler(&b, nil)).Info("made", slog.Any("v", v))
		if data, err := json.Marshal(v); err == nil {
			b.Write(data)
		}
	}
	if got := fmt.Sprint(s); got != "token.Signer" {
		t.Errorf("Sprint: got %s", got)
	}
	for _, secret := range []string{skb, hex.EncodeToString([]byte(skb)), fmt.Sprintf("%q", key), hex.EncodeToString(key), strings.Trim(fmt.Sprintf("%d", key[:10]), "[]")} {
		if strings.Contains(strings.ToLower(b.String()), strings.ToLower(secret)) {
			t.Errorf("the output has %q", secret)
		}
	}
}

// TestErrorsDoNotShow makes sure that no error has a token or what it carries.
func TestErrorsDoNotShow(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	const secret = "hunter2"
	signed, err := s.Sign("user socket", map[string]any{secret: []any{secret}})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := s.Verify("user socket", signed+secret)
	_, err2 := s.Verify("user socket", signed, token.MaxAge(0))
	_, err3 := token.VerifyFor[map[string]int](s, "user socket", signed)
	_, err4 := token.VerifyFor[user](s, "user socket", signed)
	_, err5 := s.Sign(secret, map[string]any{secret: []any{make(chan int), secret}})
	_, err6 := s.Decrypt(secret, "XCP."+secret)
	text, err := s.Sign("user socket", secret)
	if err != nil {
		t.Fatal(err)
	}
	_, err7 := token.VerifyFor[time.Time](s, "user socket", text)
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if err == nil || strings.Contains(fmt.Sprintf("%+v", err), secret) || strings.Contains(err.Error(), "SFMyNTY") {
			t.Errorf("error %d: got %v", i+1, err)
		}
	}
}

func TestSignErrors(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	short := newSigner(t, skb, &token.Options{KeyLength: 16})
	var bad *token.TermError
	if text, err := s.Sign("salt", func() {}); !errors.As(err, &bad) || text != "" {
		t.Errorf("Sign of a function: got %q, %v", text, err)
	}
	if text, err := s.Encrypt("salt", strings.Repeat("a", 1<<20)); !errors.As(err, &bad) || text != "" {
		t.Errorf("Encrypt of too much: got %d bytes, %v", len(text), err)
	}
	const want = "token: encryption needs Options.KeyLength to be 32"
	if text, err := short.Encrypt("salt", 1); err == nil || err.Error() != want || text != "" {
		t.Errorf("Encrypt with a short key: got %q, %v, want error %s", text, err, want)
	}
	sealed, err := s.Encrypt("salt", 1)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := short.Decrypt("salt", sealed); err == nil || err.Error() != want || v != nil {
		t.Errorf("Decrypt with a short key: got %v, %v, want error %s", v, err, want)
	}
	long := newSigner(t, skb, &token.Options{KeyLength: 64})
	if v, err := long.Decrypt("salt", decryptOnly[2].token); err == nil || err.Error() != want || v != nil {
		t.Errorf("Decrypt of an old token with a long key: got %v, %v, want error %s", v, err, want)
	}
}

// TestBadTokens has texts that are no tokens of Sign or of Encrypt.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	a := vectorNamed(t, "A").token
	i := strings.LastIndexByte(a, '.')
	old := decryptOnly[4].token
	for _, text := range []string{
		".", "..", "...", "a", "a.b", "a.b.c", "SFMyNTY", "SFMyNTY.", "SFMyNTY..", "\x00", strings.Repeat(".", 1<<20),
		a[:i], a[:i+1], a[:len(a)-1], a + "A", a + "==", a + "\n", a[:i] + "\n" + a[i:], a + ".", "." + a, a + a, " " + a,
		strings.Replace(a, "SFMyNTY", "SFM1MTI", 1), strings.Replace(a, "SFMyNTY", "SFMyNTY=", 1), strings.Replace(a, "SFMyNTY", "bm9uZQ", 1),
		strings.Replace(a, "_", "/", 1), strings.ToLower(a),
		"XCP", "XCP.", "XCP.A", "XCP.====", "XCP." + strings.Repeat("A", 53), "XCP." + strings.Repeat("A", 54), "XCP." + strings.Repeat("A", 4000),
		decryptOnly[0].token + ".", decryptOnly[0].token + "A", "xcp" + decryptOnly[0].token[3:],
		"QTEyOEdDTQ", "QTEyOEdDTQ.", "QTEyOEdDTQ...", "QTEyOEdDTQ....", old + ".", old + "A", old[:len(old)-3], "QTEyOEdDTQ." + strings.Repeat(".", 1<<20),
		"QTEyOEdDTQ.A.B.C.D", "QTEyOEdDTQ.AAAA.AAAA.AAAA.AAAA",
		"QTEyOEdDTQ." + strings.Repeat("A", 80) + ".AAAA.AAAA." + strings.Repeat("A", 22), // a short nonce
		strings.Repeat("a", 2<<20),
	} {
		for name, open := range map[string]func(salt, token string, opts ...token.VerifyOption) (any, error){"Verify": s.Verify, "Decrypt": s.Decrypt} {
			got, err := open("user socket", text, token.Infinity)
			if !errors.Is(err, token.ErrInvalid) || got != nil {
				t.Errorf("%s(%.60q): got %v, %v, want ErrInvalid", name, text, got, err)
			}
		}
	}
}

// TestPadding accepts the padding that Elixir accepts.
func TestPadding(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	for _, data := range []string{"", "a", "ab", "abc"} {
		sealed, err := s.Encrypt("salt", data)
		if err != nil {
			t.Fatal(err)
		}
		right := (4 - len(sealed[len("XCP."):])%4) % 4
		for n := range 5 {
			_, err := s.Decrypt("salt", sealed+strings.Repeat("=", n))
			if ok := n == 0 || n == right; ok != (err == nil) || !ok && !errors.Is(err, token.ErrInvalid) {
				t.Errorf("Decrypt with %d of %d paddings: %v", n, right, err)
			}
		}
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	want := user{ID: 42, Role: "admin", Groups: []string{"a", strings.Repeat("b", 1000)}}
	for _, opts := range [][]token.SignOption{nil, {nil, token.Compressed(true)}, {token.Infinity}, {token.MaxAge(1500 * time.Millisecond)}} {
		signed, err := s.Sign("salt", want, opts...)
		if err != nil {
			t.Fatal("Sign: ", err)
		}
		sealed, err := s.Encrypt("salt", want, opts...)
		if err != nil {
			t.Fatal("Encrypt: ", err)
		}
		for name, open := range map[string]func() (user, error){
			"VerifyFor":  func() (user, error) { return token.VerifyFor[user](s, "salt", signed) },
			"DecryptFor": func() (user, error) { return token.DecryptFor[user](s, "salt", sealed) },
		} {
			got, err := open()
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(user{})); err != nil || diff != "" {
				t.Errorf("%s: %v, (-want +got):\n%s", name, err, diff)
			}
		}
		if again, err := s.Encrypt("salt", want, opts...); err != nil || again == sealed {
			t.Errorf("Encrypt: the same token twice, %v", err)
		}
		if _, err := token.VerifyFor[user](s, "pepper", signed); !errors.Is(err, token.ErrInvalid) {
			t.Errorf("VerifyFor with another salt: got error %v, want ErrInvalid", err)
		}
	}
}

// TestCompressed makes a token smaller, but never larger.
func TestCompressed(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	for data, smaller := range map[string]bool{"a": false, strings.Repeat("a", 1000): true} {
		plain, err := s.Sign("salt", data)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := s.Sign("salt", data, token.Compressed(true))
		if err != nil || len(packed) > len(plain) || (len(packed) < len(plain)) != smaller {
			t.Errorf("Sign of %d bytes: got %d bytes compressed and %d not, %v", len(data), len(packed), len(plain), err)
		}
		if got, err := s.Verify("salt", packed); err != nil || got != data {
			t.Errorf("Verify: got something else, %v", err)
		}
	}
}

// TestAge has what a MaxAge means on either side, to the millisecond.
func TestAge(t *testing.T) {
	t.Parallel()
	const long = token.MaxAge(time.Hour)
	for _, tt := range []struct {
		name   string
		sign   []token.SignOption
		verify []token.VerifyOption
		last   time.Duration // after signing; -1: has never been valid; 0: for ever
	}{
		{"by default", nil, nil, 24 * time.Hour},
		{"of the token", []token.SignOption{long}, nil, time.Hour},
		{"of the verifier", nil, []token.VerifyOption{long}, time.Hour},
		{"longer at the verifier", []token.SignOption{long}, []token.VerifyOption{2 * long}, 2 * time.Hour},
		{"shorter at the verifier", []token.SignOption{2 * long}, []token.VerifyOption{long}, time.Hour},
		{"infinite at the verifier", []token.SignOption{long}, []token.VerifyOption{token.Infinity}, 0},
		{"infinite in the token", []token.SignOption{token.Infinity}, nil, 0},
		{"not infinite at the verifier", []token.SignOption{token.Infinity}, []token.VerifyOption{long}, time.Hour},
		{"a fraction", []token.SignOption{token.MaxAge(1250 * time.Millisecond)}, nil, 1250 * time.Millisecond},
		{"a fraction at the verifier", nil, []token.VerifyOption{token.MaxAge(1001*time.Millisecond + 999*time.Microsecond)}, 1001 * time.Millisecond},
		{"zero", []token.SignOption{token.MaxAge(0)}, nil, -1},
		{"negative", []token.SignOption{-long}, nil, -1},
		{"zero at the verifier", []token.SignOption{token.Infinity}, []token.VerifyOption{token.MaxAge(0)}, -1},
		{"negative at the verifier", []token.SignOption{token.Infinity}, []token.VerifyOption{-long}, -1},
		{"zero, but not at the verifier", []token.SignOption{token.MaxAge(0)}, []token.VerifyOption{long}, time.Hour},
		{"very long", []token.SignOption{token.Infinity - 1}, nil, 0},
		{"signed now", []token.SignOption{token.SignedAt{}}, nil, 24 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSigner(t, skb, nil)
				signed, err := s.Sign("salt", 1, tt.sign...)
				if err != nil {
					t.Fatal("Sign: ", err)
				}
				sealed, err := s.Encrypt("salt", 1, tt.sign...)
				if err != nil {
					t.Fatal("Encrypt: ", err)
				}
				expect := func(when string, want error) {
					t.Helper()
					if _, err := s.Verify("salt", signed, tt.verify...); !errors.Is(err, want) {
						t.Errorf("Verify %s: got error %v, want %v", when, err, want)
					}
					if _, err := s.Decrypt("salt", sealed, tt.verify...); !errors.Is(err, want) {
						t.Errorf("Decrypt %s: got error %v, want %v", when, err, want)
					}
				}
				switch tt.last {
				case -1:
					expect("at once", token.ErrExpired)
				case 0:
					expect("at once", nil)
					time.Sleep(200 * 365 * 24 * time.Hour)
					expect("after 200 years", nil)
				default:
					expect("at once", nil)
					time.Sleep(tt.last)
					expect("at the last moment", nil)
					time.Sleep(time.Millisecond)
					expect("a millisecond later", token.ErrExpired)
				}
			})
		})
	}
}

// TestFuture has tokens of a clock that is five minutes ahead.
func TestFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, skb, nil)
		text, err := s.Sign("salt", 1, token.SignedAt(time.Now().Add(5*time.Minute)))
		if err != nil {
			t.Fatal("Sign: ", err)
		}
		for _, tt := range []struct {
			name string
			opts []token.VerifyOption
			want error
		}{
			{"by default", nil, nil},
			{"refused", []token.VerifyOption{token.RejectFuture(0)}, token.ErrInvalid},
			{"not quite tolerated", []token.VerifyOption{token.RejectFuture(5*time.Minute - time.Millisecond)}, token.ErrInvalid},
			{"tolerated", []token.VerifyOption{token.RejectFuture(5 * time.Minute)}, nil},
			{"refused, but for ever", []token.VerifyOption{token.RejectFuture(0), token.Infinity}, nil},
			{"refused, and expired", []token.VerifyOption{token.RejectFuture(0), token.MaxAge(0)}, token.ErrExpired},
		} {
			if _, err := s.Verify("salt", text, tt.opts...); !errors.Is(err, tt.want) {
				t.Errorf("%s: got error %v, want %v", tt.name, err, tt.want)
			}
		}
		time.Sleep(5 * time.Minute)
		if _, err := s.Verify("salt", text, token.RejectFuture(0)); err != nil {
			t.Errorf("at the time of signing: %v", err)
		}
	})
}
