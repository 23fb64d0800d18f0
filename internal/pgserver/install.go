package pgserver

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// system tells which package manager the machine has: "darwin", "debian", "fedora", "alpine", "suse", "arch", or "".
func system() string {
	if runtime.GOOS != "linux" {
		return runtime.GOOS
	}
	file, err := os.Open("/etc/os-release")
	if err != nil {
		return ""
	}
	defer file.Close()
	var names []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		if name == "ID" || name == "ID_LIKE" {
			names = append(names, strings.Fields(strings.Trim(value, `"'`))...)
		}
	}
	for _, name := range names {
		switch name {
		case "debian", "ubuntu":
			return "debian"
		case "fedora", "rhel", "centos":
			return "fedora"
		case "opensuse", "suse", "sles":
			return "suse"
		case "alpine", "arch":
			return name
		}
	}
	return ""
}

// installHint says how to install PostgreSQL here; major 0 means whichever version the system has.
func installHint(major int) string { return hintFor(system(), sudo(), major) }

func hintFor(system, sudo string, major int) string {
	version := func(format string) string {
		if major == 0 {
			return ""
		}
		return fmt.Sprintf(format, major)
	}
	debian := sudo + "apt-get install -y postgresql" + version("-%d")
	fedora := sudo + "dnf install -y postgresql" + version("%d") + "-server"
	darwin := "brew install postgresql@17"
	if major != 0 {
		darwin = fmt.Sprintf("brew install postgresql@%d", major)
	}
	switch system {
	case "debian":
		return "`" + debian + "`"
	case "fedora":
		return "`" + fedora + "`"
	case "darwin":
		return "`" + darwin + "`"
	case "alpine":
		return "`" + sudo + "apk add postgresql" + version("%d") + "`"
	case "suse":
		return "`" + sudo + "zypper install -y postgresql" + version("%d") + "-server`"
	case "arch":
		return "`" + sudo + "pacman -S postgresql`"
	}
	return fmt.Sprintf("`%s` (Debian, Ubuntu), `%s` (Fedora) or `%s` (macOS)", debian, fedora, darwin)
}

// newerHint is for systems whose own packages are too old.
func newerHint() string {
	if system() == "darwin" {
		return " with " + installHint(0)
	}
	return ", as https://www.postgresql.org/download/ shows for your system"
}

// sudo is left out for root: a bare container has none.
func sudo() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return "sudo "
}
