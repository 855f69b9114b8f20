package errs

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

const hushed = "hunter2-hunter2-hunter2"

func knowing(t *testing.T, client *http.Client) *Secrets {
	t.Helper()
	endpoint, err := url.Parse("ws://phoenix.test/socket")
	if err != nil {
		t.Fatal(err)
	}
	return SecretsOf(endpoint, nil, hushed, client)
}

func TestWhatHasNoCauseSaysSo(t *testing.T) {
	t.Parallel()
	head := errors.New("phoenix: it failed")
	if err := Because(head, nil); err != head { //nolint:errorlint // the very same
		t.Errorf("Because without a cause is %v", err)
	}
	if got := TrimPrefix(nil); got != "unknown cause" {
		t.Errorf("no error reads as %q", got)
	}
	if err := Because(head, errors.New("phoenix: the cause")); err.Error() != "phoenix: it failed: the cause" {
		t.Errorf("Because = %v, want our prefix once", err)
	}
}

func TestAHostThatIsNotFoundHidesASecretInItsName(t *testing.T) {
	t.Parallel()
	before := &net.DNSError{Err: "no such host", Name: hushed + ".test", UnwrapErr: errors.New(hushed)}
	err := knowing(t, nil).Clean(before)
	var dns *net.DNSError
	if !errors.As(err, &dns) || strings.Contains(err.Error(), hushed) || dns.UnwrapErr != nil {
		t.Errorf("the error says %v", err)
	}
	if before.Name != hushed+".test" {
		t.Error("the error of somebody else was changed")
	}
}

func TestAnEscapeThatIsNoneIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	s := knowing(t, nil)
	for _, text := range []string{`\`, `\u{}`, `\u{zz}`, `\u12`, `\uzzzz`, `\x1`, `\xzz`, "\\\u00e9", `%`, `%4`, `%zz`} {
		if got := s.Redact("plain " + text); got != "plain "+text {
			t.Errorf("%q reads as %q", text, got)
		}
		if got := s.Redact(text + hushed); strings.Contains(got, hushed) {
			t.Errorf("%q in front of a secret shows it: %q", text, got)
		}
	}
	var braces strings.Builder
	for _, r := range hushed {
		braces.WriteString(`\u{` + strconv.FormatInt(int64(r), 16) + `}`)
	}
	if got := s.Redact("a " + braces.String()); strings.Contains(got, `\u{`) {
		t.Errorf("escapes with braces show a secret: %q", got)
	}
}

func TestParamsOfAJoinAreHiddenHoweverDeepTheyStand(t *testing.T) {
	t.Parallel()
	for _, params := range []string{`{"a":["` + hushed + `"]}`, `[{"b":{"c":"` + hushed + `"}}]`} {
		var none *Secrets
		if got := none.WithJoin([]byte(params)).Redact("it was " + hushed); strings.Contains(got, hushed) {
			t.Errorf("%s: %q", params, got)
		}
	}
}

func TestWhatAProxyIsToldIsHidden(t *testing.T) {
	t.Parallel()
	const proxy = "Basic c2VjcmV0LW9mLXRoZS1wcm94eQ=="
	client := &http.Client{Transport: &http.Transport{ProxyConnectHeader: http.Header{"Proxy-Authorization": {proxy}}}}
	if got := knowing(t, client).Redact("you sent " + proxy); strings.Contains(got, "c2VjcmV0") {
		t.Errorf("the proxy's password is shown: %q", got)
	}
}

func TestWhoKnowsNothingHidesNothing(t *testing.T) {
	t.Parallel()
	var none *Secrets
	if none.With("a") != nil || none.Redact(hushed) != hushed {
		t.Error("a nil Secrets knows something")
	}
}

func TestAQuotedStringStaysShortIfItIsAllEscapes(t *testing.T) {
	t.Parallel()
	if got := QuoteShort(strings.Repeat("\x00", 500)); len(got) > maxForeign || !strings.HasSuffix(got, `…"`) {
		t.Errorf("%d bytes, ending with %q", len(got), got[len(got)-5:])
	}
}
