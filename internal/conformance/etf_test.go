package conformance

import "testing"

func TestTerms(t *testing.T) {
	const (
		head = "\x83\x68\x03"
		tail = "\x6e\x06\x00\x00\x68\xe5\xcf\x8b\x01\x62\x00\x01\x51\x80"
	)
	for term, want := range map[string]string{
		"\x61\x07":             "7",
		"\x62\xff\xff\xff\xff": "-1",
		"\x62\x00\x00\x01\x2c": "300",
		"\x6e\x08\x00\xd2\x0a\x1f\xeb\x8c\xa9\x54\xab": "12345678901234567890",
		"\x6e\x01\x01\x05":                     "-5",
		"\x6d\x00\x00\x00\x08user-123":         "user-123",
		"\x6d\x00\x00\x00\x00":                 "",
		"\x64\x00\x02ok":                       "ok",
		"\x64\x00\x03nil":                      "",
		"\x77\x04true":                         "true",
		"\x6b\x00\x03abc":                      "abc",
		"\x6b\x00\x01\xe9":                     "é",
		"\x6a":                                 "",
		"\x46\x3f\xf8\x00\x00\x00\x00\x00\x00": "1.5",
		"\x46\x40\x00\x00\x00\x00\x00\x00\x00": "2.0",
	} {
		got, at, err := decodeSigned([]byte(head + term + tail))
		if err != nil || got != want || at != 1_700_000_000_000 {
			t.Errorf("%q: got %q at %d, %v", term, got, at, err)
		}
		for i := range len(head + term) {
			if _, _, err := decodeSigned([]byte((head + term)[:i])); err == nil {
				t.Errorf("%q: decoded %d bytes", term, i)
			}
		}
	}
	for _, term := range []string{"\x74\x00\x00\x00\x00", "\x70", "\x6d\xff\xff\xff\xff"} {
		if got, _, err := decodeSigned([]byte(head + term + tail)); err == nil {
			t.Errorf("%q: decoded as %q", term, got)
		}
	}
	if _, at, err := decodeSigned([]byte("\x83\x68\x02\x61\x07\x61\x09")); err != nil || at != 9 {
		t.Errorf("the form of two: %d, %v", at, err)
	}
	if _, _, err := decodeSigned([]byte("\x83\x68\x02\x61\x07\x64\x00\x01a")); err == nil {
		t.Error("a time that is none")
	}
}
