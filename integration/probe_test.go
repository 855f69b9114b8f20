package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// takesAuthTokens offers a token that is none. The answer tells whether anybody
// looked at it: Phoenix 1.7 does not. It asks without the client that is tested
// here, whose silence would look like the server's.
func takesAuthTokens(ctx context.Context, base *url.URL) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String()+"/socket/longpoll?vsn=2.0.0", http.NoBody)
	if err != nil {
		return false, err
	}
	req.Header.Set("X-Phoenix-AuthToken", "garbage")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err
	}
	var answer struct {
		Status int `json:"status"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("%s does not answer as the application does: %s %q", base, resp.Status, body)
	}
	switch answer.Status {
	case http.StatusForbidden:
		return true, nil
	case http.StatusGone:
		return false, nil // it has opened a session
	default:
		return false, fmt.Errorf("%s answers a long poll with status %d", base, answer.Status)
	}
}
