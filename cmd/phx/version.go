package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// A versionJSON is what phx version --json prints.
type versionJSON struct {
	Phx     string `json:"phx"`
	Phoenix string `json:"phoenix"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func newVersionCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionJSON{
				Phx: moduleVersion(""), Phoenix: moduleVersion("github.com/phxgo/phoenix"),
				Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
			}
			if asJSON {
				return a.out.JSON(v)
			}
			a.out.Printf("phx %s, with phoenix %s, %s %s/%s\n", v.Phx, v.Phoenix, v.Go, v.OS, v.Arch)
			return nil
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// moduleVersion returns the version of a module that this program is built with, and
// of its own module for "". It is "(devel)" in a clone of the repository.
func moduleVersion(path string) string {
	const devel = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return devel
	}
	if path == "" {
		if info.Main.Version == "" {
			return devel
		}
		return info.Main.Version
	}
	for _, module := range info.Deps {
		if module.Path == path && module.Replace == nil {
			return module.Version
		}
	}
	return devel
}
