package main

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/phxgo/phoenix/token"
)

// A tokenCommand is the flags that the subcommands of phx token share.
type tokenCommand struct {
	app        *app
	salt       string
	secretEnv  string
	secretFile string
	iterations int
	length     int
	digest     string
	maxAge     time.Duration
	maxAgeSet  bool
	json       bool
}

// A sealedJSON is what phx token sign --json and encrypt --json print.
type sealedJSON struct {
	Token string `json:"token"`
}

// An openedJSON is what phx token verify --json and decrypt --json print.
type openedJSON struct {
	Data any `json:"data"`
}

func newTokenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Sign, verify, encrypt and decrypt tokens of Phoenix.Token",
		Long: `token makes and reads the tokens of Phoenix.Token. The secret_key_base of the endpoint
comes from an environment variable or a file, never from the command line.

sign and encrypt print the token. What it carries is JSON: objects become maps with
string keys. verify and decrypt print what the token carries as JSON: atoms become
strings, and tuples become lists. With --json, all print an object: {"token":…} or
{"data":…}.`,
		Example: `  SECRET_KEY_BASE=... phx token sign --salt 'user socket' 42
  phx token verify --salt 'user socket' --secret-file secret.txt @token.txt`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("which one: sign, verify, encrypt or decrypt?")
		},
	}
	write := func(use, short string, seal func(*token.Signer, string, any, ...token.SignOption) (string, error)) {
		t := &tokenCommand{app: a}
		cmd.AddCommand(t.command(use+" [JSON|@FILE|-]", short, func(signer *token.Signer, arg string) error {
			data, err := t.data(arg)
			if err != nil {
				return err
			}
			var opts []token.SignOption
			if t.maxAgeSet {
				opts = append(opts, token.MaxAge(t.maxAge))
			}
			text, err := seal(signer, t.salt, data, opts...)
			if err != nil {
				return err
			}
			if t.json {
				return a.out.JSON(sealedJSON{Token: text})
			}
			a.out.Printf("%s\n", text)
			return nil
		}))
	}
	read := func(use, short string, open func(*token.Signer, string, string, ...token.VerifyOption) (any, error)) {
		t := &tokenCommand{app: a}
		cmd.AddCommand(t.command(use+" TOKEN|@FILE|-", short, func(signer *token.Signer, arg string) error {
			text, err := readData(a, arg)
			if err != nil {
				return err
			}
			var opts []token.VerifyOption
			if t.maxAgeSet {
				opts = append(opts, token.MaxAge(t.maxAge))
			}
			data, err := open(signer, t.salt, strings.TrimSpace(string(text)), opts...)
			if err != nil {
				return explainToken(err)
			}
			if t.json {
				return a.out.JSON(openedJSON{Data: jsonTerm(data)})
			}
			return a.out.JSON(jsonTerm(data))
		}))
	}
	write("sign", "Sign a token", (*token.Signer).Sign)
	write("encrypt", "Encrypt a token", (*token.Signer).Encrypt)
	read("verify", "Verify a signed token and print what it carries", (*token.Signer).Verify)
	read("decrypt", "Decrypt a token and print what it carries", (*token.Signer).Decrypt)
	return cmd
}

func (t *tokenCommand) command(use, short string, run func(signer *token.Signer, arg string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: between(0, 1, "at most one; - is the standard input")}
	f := cmd.Flags()
	f.StringVar(&t.salt, "salt", "", "the `SALT`, as in the application, such as 'user socket' (required)")
	f.StringVar(&t.secretEnv, "secret-env", "SECRET_KEY_BASE", "environment `VARIABLE` with the secret_key_base")
	f.StringVar(&t.secretFile, "secret-file", "", "`FILE` with the secret_key_base, instead")
	f.IntVar(&t.iterations, "key-iterations", 0, "key_iterations (default 1000)")
	f.IntVar(&t.length, "key-length", 0, "key_length in bytes (default 32)")
	f.StringVar(&t.digest, "key-digest", "sha256", "key_digest: sha256, sha384 or sha512")
	f.DurationVar(&t.maxAge, "max-age", 0, "max_age, such as 1h (default that of the token, 24h)")
	jsonFlag(f, &t.json)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t.maxAgeSet = cmd.Flags().Changed("max-age")
		if t.salt == "" {
			return usage("--salt is missing: use the one of the application, such as 'user socket'")
		}
		signer, err := t.signer()
		if err != nil {
			return err
		}
		return run(signer, append(args, "-")[0])
	}
	return cmd
}

func (t *tokenCommand) signer() (*token.Signer, error) {
	digests := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}
	digest, ok := digests[strings.ToLower(t.digest)]
	if !ok {
		return nil, usage("--key-digest is sha256, sha384 or sha512")
	}
	secret := os.Getenv(t.secretEnv)
	if t.secretFile != "" {
		data, err := os.ReadFile(t.secretFile)
		if err != nil {
			return nil, err
		}
		secret = strings.TrimSpace(string(data))
	}
	if secret == "" {
		return nil, usage("no secret: set the environment variable " + t.secretEnv + ", or use --secret-file")
	}
	t.app.secrets.Add(secret)
	signer, err := token.NewSigner(secret, &token.Options{KeyIterations: t.iterations, KeyLength: t.length, KeyDigest: digest})
	if err != nil {
		return nil, &usageError{err}
	}
	return signer, nil
}

// data returns what a token shall carry.
func (t *tokenCommand) data(arg string) (any, error) {
	text, err := readData(t.app, arg)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, usage(`what the token carries is not JSON. A string needs its quotes, for your shell as well: '"text"'`)
	}
	if dec.More() {
		return nil, usage("what the token carries must be a single JSON value")
	}
	return goNumbers(v)
}

// goNumbers replaces the numbers of a JSON value by integers where they are.
func goNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			if n.IsInt64() {
				return n.Int64(), nil
			}
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, usage("a number does not fit into a float")
		}
		return f, nil
	case []any:
		for i := range v {
			if v[i], err = goNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range v {
			if v[key], err = goNumbers(v[key]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// jsonTerm turns what a token carries into what encoding/json prints.
func jsonTerm(v any) any {
	switch v := v.(type) {
	case token.Atom:
		return string(v)
	case token.Tuple:
		return jsonTerm([]any(v))
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = jsonTerm(v[i])
		}
		return list
	case token.Map:
		object := make(map[string]any, len(v))
		for _, pair := range v {
			key := jsonTerm(pair.Key)
			name, ok := key.(string)
			if !ok {
				text, err := json.Marshal(key)
				if err != nil {
					text = fmt.Append(nil, key)
				}
				name = string(text)
			}
			object[name] = jsonTerm(pair.Value)
		}
		return object
	default:
		return v
	}
}

// explainToken adds what to do about a token that is not accepted.
func explainToken(err error) error {
	switch {
	case errors.Is(err, token.ErrExpired):
		return fmt.Errorf("%w: it is genuine but too old; look at the clocks, and at --max-age", err)
	case errors.Is(err, token.ErrInvalid):
		return fmt.Errorf("%w: it is no token, was changed, or was made with another secret, --salt or key derivation", err)
	default:
		return err
	}
}
