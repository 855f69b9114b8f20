package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/phxgo/phoenix/token"
)

// salt says what the tokens are for. The server has to have the same.
const salt = "user socket"

// An account is what somebody logs in with.
type account struct{ name, password string }

// ann has an account.
var ann = account{"ann", "correct horse"}

// A loginService gives a token to everybody who has a name and a password. It
// shares nothing with the Phoenix server but the secret.
type loginService struct {
	signer *token.Signer
	life   time.Duration

	mu        sync.Mutex
	passwords map[string]string // by name
}

func newLoginService(signer *token.Signer, life time.Duration) *loginService {
	return &loginService{signer: signer, life: life, passwords: map[string]string{ann.name: ann.password}}
}

// A grant is what the service answers.
type grant struct {
	Token     string  `json:"token"`
	ExpiresIn float64 `json:"expires_in"` // seconds
}

func (s *loginService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, password, _ := r.BasicAuth()
	if !s.isUser(name, password) {
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	// Phoenix.Token.sign(MyAppWeb.Endpoint, "user socket", name, max_age: life)
	t, err := s.signer.Sign(salt, name, token.MaxAge(s.life))
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(grant{Token: t, ExpiresIn: s.life.Seconds()}) // the client will notice
}

func (s *loginService) isUser(name, password string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	want, ok := s.passwords[name]
	return ok && subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1
}

// forget closes somebody's account.
func (s *loginService) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.passwords, name)
}

// A loginError says that the service has refused a login.
type loginError struct{ status string }

func (e *loginError) Error() string { return "login refused: " + e.status }

// logIn is the client's side. A refusal is permanent: it is no use to try again,
// while the service may come back.
func logIn(ctx context.Context, client *http.Client, url string, who account) (grant, error) {
	var g grant
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return g, err
	}
	req.SetBasicAuth(who.name, who.password)
	res, err := client.Do(req)
	if err != nil {
		return g, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return g, backoff.Permanent(&loginError{res.Status})
	default:
		return g, &loginError{res.Status}
	}
	if err := json.NewDecoder(res.Body).Decode(&g); err != nil {
		return g, fmt.Errorf("the login service: %w", err)
	}
	return g, nil
}
