package token

import (
	"reflect"
	"slices"
	"strings"
)

// A field of a struct, and the key under which it is in a map.
type field struct {
	index     int
	goName    string
	key       any // string or Atom
	omitEmpty bool
}

// fieldsOf returns the fields of a struct type, or an error if they cannot be
// told apart, or if it looks like a mistake to take the type for a map.
func fieldsOf(t reflect.Type) ([]field, error) {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("term")
		if tag == "-" || !sf.IsExported() && !tagged {
			continue
		}
		if !sf.IsExported() {
			return nil, &TermError{Path: "." + sf.Name, Reason: "a tag on a field that is not exported"}
		}
		if sf.Anonymous && !tagged {
			return nil, &TermError{Path: "." + sf.Name, Reason: `an embedded field needs a tag with its name, or "-"`}
		}
		f, err := fieldOf(sf, tag)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(fields, func(g field) bool { return g.key == f.key }) {
			return nil, &TermError{Path: "." + sf.Name, Reason: "another field has the same key"}
		}
		f.index = i
		fields = append(fields, f)
	}
	if len(fields) == 0 && t.NumField() > 0 {
		return nil, &TermError{Reason: t.String() + " has no exported fields"}
	}
	return fields, nil
}

func fieldOf(sf reflect.StructField, tag string) (field, error) {
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		name = sf.Name
	}
	f := field{goName: sf.Name, key: name}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "":
		case "omitempty":
			f.omitEmpty = true
		case "atom":
			atom, ok := atomTerm(name)
			if !ok {
				return f, within("."+sf.Name, errBadAtom())
			}
			f.key = atom
		default:
			return f, &TermError{Path: "." + sf.Name, Reason: "a tag with an unknown option"}
		}
	}
	return f, nil
}
