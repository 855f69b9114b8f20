package xk6phoenix_test

import (
	"crypto"
	"testing"
	"time"

	"github.com/phxgo/phoenix/token"
	xk6phoenix "github.com/phxgo/xk6-phoenix"
)

// TestToken signs and encrypts in a script, and verifies as a server does.
func TestToken(t *testing.T) {
	t.Parallel()
	const secret = "a secret key base of this test"
	v := newVU(t, new(xk6phoenix.RootModule))
	v.set("secret", secret)
	plain, err := token.NewSigner(secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := token.NewSigner(secret, &token.Options{KeyIterations: 2, KeyLength: 64, KeyDigest: crypto.SHA512})
	if err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		`42`:                              `42`,
		`1.5`:                             `1.5`,
		`'ann'`:                           `"ann"`,
		`null`:                            `null`,
		`undefined`:                       `null`,
		`true`:                            `true`,
		`9007199254740993n`:               `9007199254740993`,
		`[1, 'a', [2.5]]`:                 `[1,"a",[2.5]]`,
		`({b: 1, a: [{id: 5}]})`:          `[["a",[[["id",5]]]],["b",1]]`,
		`({user_id: 7, role: 'admin'})`:   `[["role","admin"],["user_id",7]]`,
		`JSON.parse('{"n":1e3,"x":2.0}')`: `[["n",1000],["x",2]]`,
	} {
		text, err := v.runtime.VU.Runtime().RunString(`token.sign(secret, 'user socket', ` + script + `)`)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		data, err := plain.Verify("user socket", text.String())
		if err != nil || asJSON(t, pairs(data)) != want {
			t.Errorf("%s: %s, %v, want %s", script, asJSON(t, pairs(data)), err, want)
		}
	}
	text, err := v.runtime.VU.Runtime().RunString(`token.encrypt(secret, 'salt', 5)`)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := plain.Decrypt("salt", text.String()); err != nil || data != int64(5) {
		t.Errorf("decrypted: %v, %v", data, err)
	}
	text, err = v.runtime.VU.Runtime().RunString(
		`token.sign(secret, 'salt', 5, {keyIterations: 2, keyLength: 64, keyDigest: 'sha512', signedAt: new Date(1000)})`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Verify("salt", text.String(), token.MaxAge(time.Hour)); err == nil {
		t.Error("a token of 1970 is valid")
	}
	if data, err := other.Verify("salt", text.String(), token.MaxAge(1<<62)); err != nil || data != int64(5) {
		t.Errorf("with key options: %v, %v", data, err)
	}
	for _, script := range []string{
		`token.sign('', 'salt', 5)`, `token.sign(secret, 'salt', () => 1)`, `token.sign(secret, 'salt', 5, {keyDigest: 'md5'})`,
		`token.sign(secret, 'salt', 5, {keyIterations: -1})`, `token.sign(secret, 'salt', 5, {maxAge: 1})`,
		`token.sign(secret, 'salt', 5, {signedAt: 'today'})`, `token.sign(secret, 'salt', NaN)`,
	} {
		if text, err := v.runtime.VU.Runtime().RunString(script); err == nil {
			t.Errorf("%s made %v", script, text)
		}
	}
}

// pairs makes lists of maps, which JSON can show.
func pairs(v any) any {
	switch v := v.(type) {
	case token.Map:
		list := []any{}
		for _, p := range v {
			list = append(list, []any{pairs(p.Key), pairs(p.Value)})
		}
		return list
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, pairs(e))
		}
		return list
	}
	return v
}
