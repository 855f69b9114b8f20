package token_test

import (
	"crypto"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/phxgo/phoenix/token"
)

const (
	skb     = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	docsSKB = "kjoy3o1zeidquwy1398juxzldjlksahdk3"
)

func at(seconds float64) token.SignedAt {
	return token.SignedAt(time.UnixMilli(int64(seconds * 1000)))
}

func newSigner(tb testing.TB, secret string, opts *token.Options) *token.Signer {
	tb.Helper()
	s, err := token.NewSigner(secret, opts)
	if err != nil {
		tb.Fatal("NewSigner: ", err)
	}
	return s
}

// A vector is a token that plug_crypto 2.1.1 has made, on Erlang/OTP 25.
type vector struct {
	name   string
	secret string // default: skb
	opts   *token.Options
	salt   string
	data   any // what is signed
	want   any // what is verified; default: data
	sign   []token.SignOption
	token  string
	// oldAtoms is whether the token has atoms as they are before Erlang/OTP 26, so
	// that Sign makes another.
	oldAtoms bool
}

var vectors = []vector{
	{
		name: "A", salt: "user socket", data: int64(1), sign: []token.SignOption{at(1700000000)},
		token: "SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.t_8lYoKZGy6JQT_vcRZof1G7_CxZOOxseb8WbXLDHu0",
	},
	{
		name: "B", salt: "user socket", data: "user-123",
		sign:  []token.SignOption{at(1700000000), token.MaxAge(14 * 24 * time.Hour)},
		token: "SFMyNTY.g2gDbQAAAAh1c2VyLTEyM24GAABo5c-LAWIAEnUA._Dln_wXOQ_0lf9i6aLmAbpUSHbR0Ko59qD6gx2LaryE",
	},
	{
		name: "C", salt: "user auth", data: map[string]any{"id": 42, "role": "admin"},
		want: token.Map{{"id", int64(42)}, {"role", "admin"}},
		sign: []token.SignOption{at(1700000000), token.Infinity}, oldAtoms: true,
		token: "SFMyNTY.g2gDdAAAAAJtAAAAAmlkYSptAAAABHJvbGVtAAAABWFkbWlubgYAAGjlz4sBZAAIaW5maW5pdHk." +
			"HpNxAhRrdSrIwcb1EzvJA_jL3YmtVgB2gD0cDjQQzPU",
	},
	{
		name: "C of Erlang/OTP 26", salt: "user auth", data: map[string]any{"id": 42, "role": "admin"},
		want: token.Map{{"id", int64(42)}, {"role", "admin"}},
		sign: []token.SignOption{at(1700000000), token.Infinity},
		token: "SFMyNTY.g2gDdAAAAAJtAAAAAmlkYSptAAAABHJvbGVtAAAABWFkbWlubgYAAGjlz4sBdwhpbmZpbml0eQ." +
			"N_pPzQBWPQODd6mn5hpRpus2BahUYGD0zeNyI5cbztg",
	},
	{
		name: "D", secret: docsSKB, salt: "user auth", data: int64(99), sign: []token.SignOption{at(1700000000)},
		token: "SFMyNTY.g2gDYWNuBgAAaOXPiwFiAAFRgA.uvJEDHa-IjTolIYW4Crh8PlZJCIGkSHuF4_nhnqPLRk",
	},
	{
		name: "E", salt: "user auth",
		data: token.Map{
			{token.Atom("admin"), true},
			{token.Atom("id"), int64(300)},
			{token.Atom("list"), []any{int64(1), int64(2), int64(256), int64(-1)}},
			{token.Atom("n"), nil},
			{token.Atom("score"), 1.5},
			{token.Atom("tup"), token.Tuple{token.Atom("ok"), "é"}},
		},
		sign: []token.SignOption{at(1700000000)}, oldAtoms: true,
		token: "SFMyNTY.g2gDdAAAAAZkAAVhZG1pbmQABHRydWVkAAJpZGIAAAEsZAAEbGlzdGwAAAAEYQFhAmIAAAEAYv____9qZAABbmQA" +
			"A25pbGQABXNjb3JlRj_4AAAAAAAAZAADdHVwaAJkAAJva20AAAACw6luBgAAaOXPiwFiAAFRgA." +
			"vDLT-UCpScz4OO98gMnKNtgi6utnctEf2fyHjNUGnGw",
	},
	{
		name: "F", salt: "user socket", data: "x", sign: []token.SignOption{at(1700000000.5)},
		token: "SFMyNTY.g2gDbQAAAAF4bgYA9Gnlz4sBYgABUYA.93MUGkdH4VXLuKCixCtvPVclK83Jl9zBAZtN00e-mgw",
	},
	{
		name: "G", opts: &token.Options{KeyDigest: crypto.SHA512, KeyIterations: 10, KeyLength: 64},
		salt: "user socket", data: int64(1), sign: []token.SignOption{at(1700000000)},
		token: "SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.tB4iH_NSYtGBcXykBkTVjfX1fCY3TyCJfHvDe-I98Xg",
	},
	{
		name: "H", salt: "user socket", data: int64(1), sign: []token.SignOption{at(0)},
		token: "SFMyNTY.g2gDYQFhAGIAAVGA.jcQzajaB13wqn6WPb_siZjMbTAXXhx8Ew3Cb_dy_Q0w",
	},
	{
		name: "I", salt: "user socket", data: uint64(12345678901234567890), want: bigInt("12345678901234567890"),
		sign:  []token.SignOption{at(1700000000), token.MaxAge(60500 * time.Millisecond)},
		token: "SFMyNTY.g2gDbggA0gof64ypVKtuBgAAaOXPiwFGQE5AAAAAAAA.icxz4IYVE36KS76U9PDsEyg1w02dEBTOF5jfSdNGrfQ",
	},
	{
		name: "J", salt: "user socket", data: token.Charlist("abc"), want: []any{int64(97), int64(98), int64(99)},
		sign:  []token.SignOption{at(1700000000)},
		token: "SFMyNTY.g2gDawADYWJjbgYAAGjlz4sBYgABUYA.nAvXjRTeobDJZHnEPJiDeuViUxw-q_LG6_DJzSHMlnM",
	},
	{
		name: "K", salt: "user socket", data: token.Tuple{[]any{}, token.Map{}, "", token.Tuple{}},
		sign:  []token.SignOption{at(1700000000)},
		token: "SFMyNTY.g2gDaARqdAAAAABtAAAAAGgAbgYAAGjlz4sBYgABUYA.s-ZY3acYVLkqTFAG9BA628w0wHAygLz2H5CZDkjsw8g",
	},
}

func (v *vector) signer(t *testing.T) *token.Signer {
	t.Helper()
	if v.secret == "" {
		v.secret = skb
	}
	if v.want == nil {
		v.want = v.data
	}
	return newSigner(t, v.secret, v.opts)
}

func TestVectorsSign(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		if v.oldAtoms {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got, err := v.signer(t).Sign(v.salt, v.data, v.sign...)
			if err != nil || got != v.token {
				t.Errorf("Sign: got %s, %v, want %s", got, err, v.token)
			}
		})
	}
}

func TestVectorsVerify(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got, err := v.signer(t).Verify(v.salt, v.token, token.Infinity)
			if err != nil {
				t.Fatal("Verify: ", err)
			}
			if diff := cmp.Diff(v.want, got, compareBig); diff != "" {
				t.Errorf("Verify (-want +got):\n%s", diff)
			}
			if _, err := newSigner(t, skb+"!", v.opts).Verify(v.salt, v.token, token.Infinity); !errors.Is(err, token.ErrInvalid) {
				t.Errorf("Verify with another secret: got error %v, want ErrInvalid", err)
			}
		})
	}
}

// TestVectorsAge has each vector at the last moment of its life and at the next.
func TestVectorsAge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		last time.Time // of the token, at a millisecond
	}{
		{"A", time.UnixMilli(1700000000_000 + 86400_000)},
		{"B", time.UnixMilli(1700000000_000 + 1209600_000)},
		{"F", time.UnixMilli(1700000000_500 + 86400_000)},
		{"I", time.UnixMilli(1700000000_000 + 60_500)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := vectorNamed(t, tt.name)
				s := v.signer(t)
				time.Sleep(time.Until(tt.last))
				if _, err := s.Verify(v.salt, v.token); err != nil {
					t.Errorf("Verify at the last moment: %v", err)
				}
				time.Sleep(time.Millisecond)
				if _, err := s.Verify(v.salt, v.token); !errors.Is(err, token.ErrExpired) {
					t.Errorf("Verify a millisecond later: got error %v, want ErrExpired", err)
				}
			})
		})
	}
}

func vectorNamed(t *testing.T, name string) *vector {
	t.Helper()
	for _, v := range vectors {
		if v.name == name {
			return &v
		}
	}
	t.Fatal("no vector ", name)
	return nil
}

// verifyOnly are tokens that Sign does not make, signed with skb and "user socket".
var verifyOnly = []struct {
	name, token string
	opts        []token.VerifyOption
	want        any
	wantErr     error
	wantTerm    string // the *TermError
}{
	{
		name: "L, HS512",
		token: "SFM1MTI.g2gDYQFuBgAAaOXPiwFkAAhpbmZpbml0eQ." +
			"YJuIK1FKTkoB8Eov_OgMIBEdKETD40YJUuisMyZA99RKyq7sk9sPkz1ja7F8_wuHKvUIY7jUUCaI3RSCnMNzsA",
		want: int64(1),
	},
	{
		name: "HS384",
		token: "SFMzODQ.g2gDYQFuBgAAaOXPiwFkAAhpbmZpbml0eQ." +
			"gpykZc9MocMVWwBRCwdeYD6vYY49TJuTsdUarUe-URv48ESXno4SpUOTnc09Ek3G",
		want: int64(1),
	},
	{
		name: "M, two of a tuple", token: "SFMyNTY.g2gCYQduBgAAaOXPiwE.tOiW6lMGr9dl0LagtTkMlnAkMM9WoMBz-w-qhx6OhCk",
		opts: []token.VerifyOption{token.Infinity}, want: int64(7),
	},
	{
		name: "M, two of a tuple, old", token: "SFMyNTY.g2gCYQduBgAAaOXPiwE.tOiW6lMGr9dl0LagtTkMlnAkMM9WoMBz-w-qhx6OhCk",
		wantErr: token.ErrExpired,
	},
	{
		name:  "M, a map",
		token: "SFMyNTY.g3QAAAACZAAEZGF0YWEHZAAGc2lnbmVkbgYAAGjlz4sB.RJl-7JVMDM6vnwzSmIwhlaZru9mRhlS3R6Gl6UpZphI",
		opts:  []token.VerifyOption{token.Infinity}, want: int64(7),
	},
	{
		name:    "M, a map, old",
		token:   "SFMyNTY.g3QAAAACZAAEZGF0YWEHZAAGc2lnbmVkbgYAAGjlz4sB.RJl-7JVMDM6vnwzSmIwhlaZru9mRhlS3R6Gl6UpZphI",
		wantErr: token.ErrExpired,
	},
	{
		name:    "a map with more",
		token:   "SFMyNTY.g3QAAAADZAAEZGF0YWEBZAAFZXh0cmFhAmQABnNpZ25lZG4GAABo5c-LAQ.QC0MaEVr_wTFOsC_AwKFgBl9Z4OPLsIy-DF_lQRs3h0",
		wantErr: token.ErrExpired,
	},
	{
		name: "N, compressed",
		token: "SFMyNTY.g1AAAADjeJzLYM5lYGA4kThMQB4bA0PG0_PdjCkMHJl5aZl5mSWVAF0KVFs." +
			"ENAROf8F5PiPLI2Agx9ouBu0c3kU1_PM3tc19ju1zik",
		want: strings.Repeat("a", 200),
	},
	{
		name:  "a Latin-1 atom",
		token: "SFMyNTY.g2gDZAAB6W4GAABo5c-LAWQACGluZmluaXR5.wOaYKHx--hfJzwYSqLLPAcp722xIoarmUx783gXlA9o",
		want:  token.Atom("é"),
	},
	{
		name:    "max_age -5",
		token:   "SFMyNTY.g2gDYQFuBgAAaOXPiwFi____-w.pu2ku9yeDSCa9UO-4ImSbEIhvvtZ2RpRAdiHQNCGPV0",
		wantErr: token.ErrExpired,
	},
	{
		name:    "max_age 0.0",
		token:   "SFMyNTY.g2gDYQFuBgAAaOXPiwFGAAAAAAAAAAA.YIhcB0ib5Q-0aPOG1YfCRW7myf6BTYZ-AeS5aehoaoU",
		wantErr: token.ErrExpired,
	},
	{
		name:  "max_age 12345678901234567890123",
		token: "SFMyNTY.g2gDYQFuBgAAaOXPiwFuCgDLREJxdk62Qp0C.Tp6kqvWoyjfX7Ycs_W-e3gLVQIdIumQfKkoonnGYDeo",
		want:  int64(1),
	},
	{
		name:     "max_age nil",
		token:    "SFMyNTY.g2gDYQFuBgAAaOXPiwFkAANuaWw.OGokHrUeqW36QOZa7QTuPFxtMp7QbkuCyQmHeh4Kl4Q",
		wantTerm: "token: data: a max_age that is neither a number nor infinity",
	},
	{
		name:     "max_age :foo",
		token:    "SFMyNTY.g2gDYQFuBgAAaOXPiwFkAANmb28.QlhL2bET4c-DwSvy1jl7ikdZiNC4AH6ucLURDz6mYW0",
		wantTerm: "token: data: a max_age that is neither a number nor infinity",
	},
	{
		name:  "max_age :foo, and one of ours",
		token: "SFMyNTY.g2gDYQFuBgAAaOXPiwFkAANmb28.QlhL2bET4c-DwSvy1jl7ikdZiNC4AH6ucLURDz6mYW0",
		opts:  []token.VerifyOption{token.Infinity},
		want:  int64(1),
	},
	{
		name:    "signed at 1.7e12",
		token:   "SFMyNTY.g2gDYQFGQni8_laAAABiAAFRgA.poKwt3yF4YQ7j5NMthFXbFpMwn7VuWeAYKJ5JEXP6bI",
		wantErr: token.ErrExpired,
	},
	{
		name:  "signed at 123456789012345678901234567890",
		token: "SFMyNTY.g2gDYQFuDQDSCj9O7uBzw_YP6Y4BYgABUYA.DxL4U7JReHWi0S4o7diqg4YkKH5g7yani-3b0sVysi0",
		want:  int64(1),
	},
	{
		name:    "signed in the far future, which is refused",
		token:   "SFMyNTY.g2gDYQFuDQDSCj9O7uBzw_YP6Y4BYgABUYA.DxL4U7JReHWi0S4o7diqg4YkKH5g7yani-3b0sVysi0",
		opts:    []token.VerifyOption{token.RejectFuture(time.Hour)},
		wantErr: token.ErrInvalid,
	},
	{
		name:  "signed at -1700000000000, for ever",
		token: "SFMyNTY.g2gDYQFuBgEAaOXPiwFkAAhpbmZpbml0eQ._rDJbi6mmBw7okAvU38Z97SI9WcLQfbl5Q6QrZmyShI",
		want:  int64(1),
	},
	{
		name:    "signed at -1700000000000",
		token:   "SFMyNTY.g2gDYQFuBgEAaOXPiwFkAAhpbmZpbml0eQ._rDJbi6mmBw7okAvU38Z97SI9WcLQfbl5Q6QrZmyShI",
		opts:    []token.VerifyOption{token.MaxAge(24 * time.Hour)},
		wantErr: token.ErrExpired,
	},
	{
		name:  "signed at :x, for ever",
		token: "SFMyNTY.g2gDYQFkAAF4ZAAIaW5maW5pdHk.4GZ51_LBRhD1sDgtklybDQ1-kJqzucvrnAu32SLcLoI",
		want:  int64(1),
	},
	{
		name:     "signed at :x",
		token:    "SFMyNTY.g2gDYQFkAAF4ZAAIaW5maW5pdHk.4GZ51_LBRhD1sDgtklybDQ1-kJqzucvrnAu32SLcLoI",
		opts:     []token.VerifyOption{token.MaxAge(time.Hour)},
		wantTerm: "token: data: a time of signing that is no number",
	},
	{
		name:     "a tuple of four",
		token:    "SFMyNTY.g2gEYQFhAmEDYQQ.hY4FZC7WOy26Dq0ApcyM6s-MiQuCGlFS1z5rTAuP5Sc",
		wantTerm: "token: data: not as Phoenix.Token has it",
	},
	{
		name:     "a number",
		token:    "SFMyNTY.g2EH.Hh9otpqQ9_j-MDCGNcl3Vpw0PZX-6vNiieMHEt8r7tk",
		wantTerm: "token: data: not as Phoenix.Token has it",
	},
	{
		name:     "a map that lacks something",
		token:    "SFMyNTY.g3QAAAABZAAEZGF0YWEB.nW8SFo-B-lUbG-olcq0x-C6aq2FTGsuF5k4WKtnQkNE",
		wantTerm: "token: data: not as Phoenix.Token has it",
	},
	{
		name:     "no term",
		token:    "SFMyNTY.aGVsbG8.x2wQSvuCVbr0kvADAMVdIxfNFwYKaD9ljv-IH10HxRo",
		wantTerm: "token: data: not in the External Term Format",
	},
	{
		name: "a function",
		token: "SFMyNTY.g2gDcWQADUVsaXhpci5TdHJpbmdkAAZsZW5ndGhhAWEBZAAIaW5maW5pdHk." +
			"LkReN5kT9_l7BsL1rWwIRlyUp0G2AXunHT6Y5Tt4Xao",
		wantTerm: "token: data: terms with tag 113 (a function) are not supported",
	},
	{
		name: "a process",
		token: "SFMyNTY.g2gDWGQADW5vbm9kZUBub2hvc3QAAABgAAAAAAAAAABhAWQACGluZmluaXR5." +
			"f0S74I8MZ9tUC6om5F70MqlGhEORTLxlQx527_lglw4",
		wantTerm: "token: data: terms with tag 88 (a process) are not supported",
	},
}

// TestVectorsVerifyOnly expects the answers of plug_crypto 2.1.1, and a *TermError
// where it raises. It accepts a process, and so does plug_crypto after 2.1.1.
func TestVectorsVerifyOnly(t *testing.T) {
	t.Parallel()
	s := newSigner(t, skb, nil)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 8, 20, 0, 0, 0, 0, time.UTC)))
		for _, tt := range verifyOnly {
			got, err := s.Verify("user socket", tt.token, tt.opts...)
			var bad *token.TermError
			switch {
			case tt.wantTerm != "":
				if !errors.As(err, &bad) || err.Error() != tt.wantTerm {
					t.Errorf("%s: got error %v, want a *TermError %s", tt.name, err, tt.wantTerm)
				}
			case !errors.Is(err, tt.wantErr):
				t.Errorf("%s: got error %v, want %v", tt.name, err, tt.wantErr)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	})
}

// TestVectorsNegative is the negative checks on A.
func TestVectorsNegative(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1700000000, 0).Add(48 * time.Hour)))
		v := vectorNamed(t, "A")
		s := v.signer(t)
		for _, tt := range []struct {
			name, salt, token string
			opts              []token.VerifyOption
			want              error
		}{
			{"another salt", "user sockets", v.token, nil, token.ErrInvalid},
			{"another payload", v.salt, strings.Replace(v.token, ".g2gDYQF", ".g2gDYQJ", 1), nil, token.ErrInvalid},
			{"old", v.salt, v.token, nil, token.ErrExpired},
			{"max age 0", v.salt, v.token, []token.VerifyOption{token.MaxAge(0)}, token.ErrExpired},
			{"a negative max age", v.salt, v.token, []token.VerifyOption{token.MaxAge(-time.Hour)}, token.ErrExpired},
			{"a longer max age", v.salt, v.token, []token.VerifyOption{token.MaxAge(48 * time.Hour)}, nil},
			{"infinity", v.salt, v.token, []token.VerifyOption{token.Infinity}, nil},
			{"padding", v.salt, v.token + "=", []token.VerifyOption{token.Infinity}, nil},
			{"the last of two", v.salt, v.token, []token.VerifyOption{token.Infinity, nil, token.MaxAge(1)}, token.ErrExpired},
			{"missing", v.salt, "", nil, token.ErrMissing},
		} {
			if _, err := s.Verify(tt.salt, tt.token, tt.opts...); !errors.Is(err, tt.want) {
				t.Errorf("%s: got error %v, want %v", tt.name, err, tt.want)
			}
		}
	})
}

// decryptOnly are X1, X2, and tokens of plug_crypto 1.2.5 with keys of each length.
// All carry %{"id" => 42}, for ever.
var decryptOnly = []struct {
	name, token string
	keyLength   int
}{
	{
		name:  "X1",
		token: "XCP.hYitPLq4n6RuBViRYaHgqwUK8CZo1WrDbIcRm4cwmOWuG_BnXYFaYTXOjWsSH8RFsd1lod2U7prrGt3Uja-WLFs2bDiMxSPQiDOqBEE",
	},
	{
		name:  "X2",
		token: "XCP.AAECAwQFBgcICQoLDA0ODxAREhMUFRYX9JXnKUJlc9_B3KXCr4Mo1h2EmZ0axSt-aKvYnxcTQbFlvBI8QA2pftpe2u-mSlfe-eFJ6pk",
	},
	{
		name: "AES, 16 bytes", keyLength: 16,
		token: "QTEyOEdDTQ.UePiVzyFO3bU3g_8K_Q6ol2-1YwkafOuJzYYbUE8JgSctj1wC-eedttygCw.qDuMvy_JtY0dizP3." +
			"e_hOQW_JOavGs1QjCA2lsWvSfhtubcrrQ7kBiiHh8abvxg6k7w.2xU_h_F-_b3Pq-x-MPqFmQ",
	},
	{
		name: "AES, 24 bytes", keyLength: 24,
		token: "QTEyOEdDTQ._c93PtDenMvuAgDZiErYx5E5VLeWLTxXTK8RdBRWDSNsJpOaVV20kxuPWWM.K-3EF7cWMZ2suxFV." +
			"Tj4LDE0dWpVSYCzz2wCDCu-c8v2ZbJRY04ueAmjWuk0_BDGBNQ.7EO74doYV5U-UdnpKvP9ow",
	},
	{
		name: "AES, 32 bytes",
		token: "QTEyOEdDTQ.Hj3beHm5pL_nEM3L8VqexxQHwkOVwwpIUHGccSWY7R0CElFyp7I9u9OpL-U.EMhJePVTZl8A-xNb." +
			"1Ie1HEbrDFC-LvwGg4rzWPoJ_6RDtGo0G4Bv5nTXbR1glJLmlA.YEcIzfHz3d7OLT58u_ZkdA",
	},
}

func TestVectorsDecrypt(t *testing.T) {
	t.Parallel()
	for _, tt := range decryptOnly {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, skb, &token.Options{KeyLength: tt.keyLength})
			got, err := s.Decrypt("user secret", tt.token)
			if err != nil {
				t.Error("Decrypt: ", err)
			}
			if diff := cmp.Diff(token.Map{{"id", int64(42)}}, got); diff != "" {
				t.Errorf("Decrypt (-want +got):\n%s", diff)
			}
			for _, salt := range []string{"user secrets", ""} {
				if _, err := s.Decrypt(salt, tt.token); !errors.Is(err, token.ErrInvalid) {
					t.Errorf("Decrypt with salt %q: got error %v, want ErrInvalid", salt, err)
				}
			}
			// Every letter counts, but for the last of each part, which has bits to
			// spare, and the dots.
			for i := range len(tt.token) - 1 {
				if tt.token[i] == '.' || tt.token[i+1] == '.' {
					continue
				}
				letter := "A"
				if tt.token[i] == 'A' {
					letter = "B"
				}
				if got, err := s.Decrypt("user secret", tt.token[:i]+letter+tt.token[i+1:]); !errors.Is(err, token.ErrInvalid) {
					t.Errorf("Decrypt with another letter at %d: got %v, %v, want ErrInvalid", i, got, err)
				}
			}
		})
	}
}
