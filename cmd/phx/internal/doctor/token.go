package doctor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// A tokenAge is what anybody can read in a token about its time.
type tokenAge struct {
	kind    string
	signed  time.Time // zero if unknown
	expires time.Time // zero for never, or unknown
}

func (a tokenAge) String() string {
	text := a.kind
	if !a.signed.IsZero() {
		text += ", signed at " + a.signed.UTC().Format(time.RFC3339)
		if ahead := time.Until(a.signed); ahead > time.Second {
			text += fmt.Sprintf(", which is %v in the future", ahead.Round(time.Second))
		}
	}
	switch {
	case a.expires.IsZero():
	case time.Now().After(a.expires):
		text += fmt.Sprintf(", expired %v ago", time.Since(a.expires).Round(time.Second))
	default:
		text += fmt.Sprintf(", expires in %v", time.Until(a.expires).Round(time.Second))
	}
	return text
}

// readToken reads the time of a token of Phoenix.Token or of a JSON Web Token,
// without verifying it.
func readToken(token string) (tokenAge, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return tokenAge{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return tokenAge{}, false
	}
	if strings.HasPrefix(parts[0], "eyJ") {
		var claims struct {
			Issued  float64 `json:"iat"`
			Expires float64 `json:"exp"`
		}
		if json.Unmarshal(payload, &claims) != nil {
			return tokenAge{}, false
		}
		age := tokenAge{kind: "a JSON Web Token"}
		if claims.Issued > 0 {
			age.signed = time.Unix(int64(claims.Issued), 0)
		}
		if claims.Expires > 0 {
			age.expires = time.Unix(int64(claims.Expires), 0)
		}
		return age, true
	}
	return readPhoenixToken(payload)
}

// readPhoenixToken reads the end of {data, signed_at, max_age} in Erlang's external
// term format: signed_at is a big integer of six bytes, in milliseconds, and max_age
// an integer, in seconds, or the atom infinity.
func readPhoenixToken(term []byte) (tokenAge, bool) {
	const bigSize = 3 + 6
	for _, size := range []int{2, 5, bigSize - 1, bigSize, 10, 11} {
		at := len(term) - size - bigSize
		if at < 0 || term[at] != 110 || term[at+1] != 6 || term[at+2] != 0 {
			continue
		}
		signed := time.UnixMilli(little(term[at+3 : at+9]))
		age := tokenAge{kind: "a token of Phoenix.Token", signed: signed}
		switch maxAge := term[len(term)-size:]; {
		case maxAge[0] == 97 && size == 2:
			age.expires = signed.Add(time.Duration(maxAge[1]) * time.Second)
		case maxAge[0] == 98 && size == 5:
			age.expires = signed.Add(time.Duration(new(big.Int).SetBytes(maxAge[1:]).Int64()) * time.Second)
		case maxAge[0] == 110, maxAge[0] == 119, maxAge[0] == 100, maxAge[0] == 115: // long, or infinity
		default:
			continue
		}
		return age, true
	}
	return tokenAge{}, false
}

// little returns the number of up to seven bytes, the lowest first.
func little(data []byte) int64 {
	data = slices.Clone(data)
	slices.Reverse(data)
	return new(big.Int).SetBytes(data).Int64()
}
