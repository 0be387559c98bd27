package foreign

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Kazoo is an installed kazoo, the ZooKeeper client of Python.
type Kazoo struct {
	Version string // such as 2.11.0
	Python  string // the program
	Folder  string // the folder of Python packages that kazoo is in
}

// FindKazoo returns the kazoo that 'make peers' has brought, or Debian's. The error says what to install.
func FindKazoo() (Kazoo, error) {
	if folder, ok := Folder("kazoo"); ok {
		return askKazoo("python3", folder)
	}
	return askKazoo("/usr/bin/python3", "") // Debian's: its packages are not seen by others
}

// askKazoo asks a Python for its kazoo, which may be in a folder of its own.
func askKazoo(python, folder string) (Kazoo, error) {
	k := Kazoo{Python: python, Folder: folder}
	out, err := k.Command("import os, kazoo.version; print(kazoo.version.__version__, os.path.dirname(os.path.dirname(kazoo.__file__)))").CombinedOutput()
	if err != nil {
		return Kazoo{}, fmt.Errorf("kazoo is not installed, run 'make peers' (%s)", LastLine(out, err))
	}
	k.Version, k.Folder, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return k, nil
}

// Command returns a command that runs a program around kazoo.
func (k Kazoo) Command(program string) *exec.Cmd {
	cmd := exec.Command(k.Python, "-u", "-c", program)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+k.Folder)
	return cmd
}
