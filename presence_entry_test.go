package phoenix

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// The types are aliases, of which go doc shows no field: their comments do.
func TestTheCommentsOfPresencesTellTheirFields(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("presence.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[PresenceEntry[int]](), reflect.TypeFor[PresenceMeta[int]](), reflect.TypeFor[PresenceChange[int]](),
	} {
		name, _, _ := strings.Cut(typ.Name(), "[")
		_, comment, _ := strings.Cut(string(source), "// A Presence"+name+" ")
		comment, _, ok := strings.Cut(comment, "\ntype Presence"+name+"[")
		if !ok {
			t.Fatalf("no comment of Presence%s", name)
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !strings.Contains(comment, "//\t"+f.Name) && !strings.Contains(comment, ", "+f.Name+" ") {
				t.Errorf("the comment of Presence%s does not tell the field %s", name, f.Name)
			}
		}
		for i := range typ.NumMethod() {
			if m := typ.Method(i).Name; !strings.Contains(comment, m) {
				t.Errorf("the comment of Presence%s does not tell the method %s", name, m)
			}
		}
	}
}
