package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// configFile is what the configuration file says:
//
//	default = "dev"
//
//	[profiles.dev]
//	servers = "127.0.0.1:2181"
//
//	[profiles.prod]
//	servers = "zk1,zk2,zk3/app"
//	auth-file = "/etc/zkstream/credentials"
//	tls-ca = "/etc/zkstream/ca.pem"
//
// The keys of a profile are the names of the flags of the connection. Names of files are relative to this one.
type configFile struct {
	Default  string                    `toml:"default"`
	Profiles map[string]map[string]any `toml:"profiles"`

	path string
}

// fileKeys are those keys of a profile that name files.
var fileKeys = []string{"auth-file", "tls-ca", "tls-cert", "tls-key"}

// readConfig reads the file at path. Without a path it is that of ZKSTREAM_CONFIG, or else the default one, which may be missing.
func readConfig(path string, getenv func(string) string) (*configFile, error) {
	if path == "" {
		path = getenv("ZKSTREAM_CONFIG")
	}
	optional := path == ""
	if optional {
		if path = defaultConfig(getenv); path == "" {
			return &configFile{}, nil
		}
	}
	file := &configFile{path: path}
	meta, err := toml.DecodeFile(path, file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return file, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: unknown key %q", path, unknown[0].String())
	}
	return file, nil
}

// defaultConfig returns the path of the file in the user's folder for configuration, "" if the user has none.
func defaultConfig(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(dir, "zkstream", "config.toml")
}

// profile returns the values of a profile by the names of flags.
func (f *configFile) profile(name string) (map[string][]string, error) {
	entries, ok := f.Profiles[name]
	if !ok {
		return nil, fmt.Errorf("no profile %q in %s, which has: %s", name, f.path, strings.Join(f.names(), " "))
	}
	values := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if !slices.Contains(connection, key) {
			return nil, fmt.Errorf("%s: profile %s: unknown key %q", f.path, name, key)
		}
		if list, ok := entries[key].([]any); ok {
			for _, v := range list {
				values[key] = append(values[key], fmt.Sprint(v))
			}
		} else {
			values[key] = []string{fmt.Sprint(entries[key])}
		}
		if slices.Contains(fileKeys, key) && values[key][0] != "" && !filepath.IsAbs(values[key][0]) {
			values[key][0] = filepath.Join(filepath.Dir(f.path), values[key][0])
		}
	}
	return values, nil
}

// names returns the names of the profiles, sorted.
func (f *configFile) names() []string { return slices.Sorted(maps.Keys(f.Profiles)) }
