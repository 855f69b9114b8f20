// Package conformance is the application that the recordings in
// phoenixtest/testdata/conformance were made with, written for phoenixtest: a
// server that runs it has to answer as the recorded Phoenix did.
package conformance

import (
	"errors"
	"fmt"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
	"github.com/phxgo/phoenix/token"
)

// Start starts a server with the application, which the caller has to close.
// Of the options only the network, the address, the profile and the bounds of
// the frame log count.
func Start(opts phoenixtest.Options) (*phoenixtest.Server, error) {
	s, err := phoenixtest.Start(Options(opts))
	if err != nil {
		return nil, err
	}
	Mount(s)
	return s, nil
}

// Options returns the options with the endpoint's and the socket's settings,
// for a server to [Mount] the application on.
func Options(opts phoenixtest.Options) *phoenixtest.Options {
	opts.AuthToken = true
	opts.Strict = true
	opts.LongPollWindow = 2 * time.Second
	signer := newSigner()
	opts.Connect = func(info *phoenixtest.ConnectInfo) error { return connect(info, signer) }
	return &opts
}

var errDenied = errors.New("denied")

// connect is connect/3 and id/1. A param that is not a string where one is
// needed crashes it.
func connect(info *phoenixtest.ConnectInfo, signer *token.Signer) error {
	params := info.Nested()
	if _, ok := params["deny"]; ok {
		return errDenied
	}
	user, err := userOf(info, params, signer)
	if err != nil {
		return err
	}
	info.Assign("user", user)
	info.ID = "user_socket:" + user
	return nil
}

func userOf(info *phoenixtest.ConnectInfo, params map[string]any, signer *token.Signer) (string, error) {
	text, given := stringParam(params, "user_token")
	if !given {
		text, given = info.AuthToken, info.HasAuthToken
	}
	if given {
		return verifyUser(signer, text)
	}
	v, given := params["user"]
	if !given {
		return "anon", nil
	}
	user, ok := textOf(v)
	if !ok {
		panic("the user has no string")
	}
	return user, nil
}

func stringParam(params map[string]any, name string) (string, bool) {
	v, ok := params[name]
	if !ok {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		panic(fmt.Sprintf("the param %s is not a string", name))
	}
	return s, true
}
