package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/token"
)

// A minter mints the tokens of the users.
type minter struct {
	signer *token.Signer
	Token
	data *text
}

func newMinter(from *Token, getenv func(string) string) (*minter, error) {
	m := &minter{Token: *from}
	if m.As == "" {
		m.As = "param"
	}
	if m.Name == "" {
		m.Name = "token"
	}
	switch {
	case m.As != "auth" && m.As != "param" && m.As != "join":
		return nil, errors.New(`load: token.as must be "auth", "param" or "join"`)
	case m.Salt == "":
		return nil, errors.New(`load: token.salt is missing: it is that of Phoenix.Token.sign, such as "user socket"`)
	case m.SecretEnv == "":
		return nil, errors.New("load: token.secret_env is missing: the environment variable with the secret_key_base")
	case m.MaxAge < 0:
		return nil, errors.New("load: token.max_age must not be negative")
	}
	secret := getenv(m.SecretEnv)
	if secret == "" {
		return nil, fmt.Errorf("load: the environment variable %s is not set: the tokens are minted with it", m.SecretEnv)
	}
	var err error
	if m.signer, err = token.NewSigner(secret, nil); err != nil {
		return nil, fmt.Errorf("load: the secret in %s: %w", m.SecretEnv, err)
	}
	if m.Data == "" {
		m.Data, m.Integer = "{{.User}}", true
	}
	if m.data, err = newText("token.data", m.Data); err != nil {
		return nil, err
	}
	_, err = m.mint(Vars{User: 1, Channel: 1})
	return m, err
}

func (m *minter) mint(v Vars) (string, error) {
	s, err := m.data.render(v)
	if err != nil {
		return "", err
	}
	var data any = s
	if m.Integer {
		if data, err = strconv.ParseInt(s, 10, 64); err != nil {
			return "", errors.New("load: token.data is no integer")
		}
	}
	var opts []token.SignOption
	if m.MaxAge > 0 {
		opts = append(opts, token.MaxAge(m.MaxAge))
	}
	return m.signer.Sign(m.Salt, data, opts...)
}

// into puts the token into the options of a user's socket. It is minted anew for each
// attempt to connect.
func (m *minter) into(opts *phoenix.SocketOptions, v Vars) {
	switch m.As {
	case "auth":
		opts.AuthToken = func(context.Context) (string, error) { return m.mint(v) }
	case "param":
		params := opts.Params
		opts.ParamsFunc = func(context.Context) (url.Values, error) {
			t, err := m.mint(v)
			out := make(url.Values, len(params)+1)
			maps.Copy(out, params)
			out[m.Name] = []string{t}
			return out, err
		}
		opts.Params = nil
	}
}

// intoJoin puts the token into the params of a join.
func (m *minter) intoJoin(params json.RawMessage, v Vars) (any, error) {
	if m.As != "join" {
		return params, nil
	}
	fields := make(map[string]any)
	if err := json.Unmarshal(params, &fields); err != nil {
		return nil, errors.New("load: the params of a join with a token must be an object")
	}
	t, err := m.mint(v)
	fields[m.Name] = t
	return fields, err
}
