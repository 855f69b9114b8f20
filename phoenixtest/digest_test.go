package phoenixtest

import (
	"strings"
	"testing"
)

func TestDigestRefusesWhatPhoenixDoes(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		`["\ud800"]`: false, `["\udc00"]`: false, `["\ud800\u0041"]`: false, `{"\udbff":1}`: false, `["a\\\ud800"]`: false,
		`["\ud83d\ude00","\ud7ff\ue000","\\ud800","\""]`: true,
		`[1e400]`: false, `[-1.5E+309]`: false, "[" + strings.Repeat("9", 400) + ".5]": false,
		`[1e308,1e-400,-0,1E5,0e999,"1e400"]`: true, "[" + strings.Repeat("9", 400) + "]": true,
	} {
		if err := digest(text); (err == nil) != ok {
			t.Errorf("digest(%.40q) = %v", text, err)
		}
	}
}
