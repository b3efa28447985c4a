//! The memory of this machine, and the limit of the control group (cgroup) that this process is in.

use std::path::{Path, PathBuf};

/// Memory of this process's surroundings, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    total: f64,
    available: f64,
}

impl Limits {
    /// Memory that there is in all, bytes: that of the machine, or the limit of the control group if it is lower.
    pub(crate) fn total_bytes(self) -> f64 {
        self.total
    }

    /// Memory that is free or can be freed, bytes.
    pub(crate) fn available_bytes(self) -> f64 {
        self.available
    }

    fn at_most(self, other: Self) -> Self {
        Self {
            total: self.total.min(other.total),
            available: self.available.min(other.available),
        }
    }
}

/// The memory of this machine or of this process's control group; `None` if the system does not report it.
pub(crate) fn limits() -> Option<Limits> {
    read(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn read(proc: &Path, cgroups: &Path) -> Option<Limits> {
    let machine = machine(&fs_err::read_to_string(proc.join("meminfo")).ok()?)?;
    let groups = fs_err::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let folders = groups
        .lines()
        .filter_map(|line| Group::parse(line, cgroups))
        .flat_map(|group| group.limits());
    Some(folders.fold(machine, Limits::at_most))
}

/// `MemTotal` and `MemAvailable` of `/proc/meminfo`.
fn machine(text: &str) -> Option<Limits> {
    let bytes = |key: &str| -> Option<f64> {
        let line = text.lines().find(|line| line.starts_with(key))?;
        let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024.0)
    };
    let total = bytes("MemTotal:")?;
    Some(Limits {
        total,
        // Kernels before 3.14 do not report it.
        available: bytes("MemAvailable:").unwrap_or(total),
    })
}

/// A control group that may limit memory.
struct Group {
    root: PathBuf,
    /// Path of the group below the root.
    path: PathBuf,
    /// The file with the limit.
    limit: &'static str,
    /// The file with what is used.
    usage: &'static str,
    /// The keys of cached files in `memory.stat`.
    files: [&'static str; 2],
}

impl Group {
    /// Parses a line of `/proc/self/cgroup`: `0::/path` in version 2, `4:memory:/path` in version 1.
    fn parse(line: &str, cgroups: &Path) -> Option<Self> {
        let mut parts = line.splitn(3, ':');
        let (number, kinds, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = PathBuf::from(path.trim_start_matches('/'));
        if number == "0" && kinds.is_empty() {
            return Some(Self {
                root: cgroups.to_owned(),
                path,
                limit: "memory.max",
                usage: "memory.current",
                files: ["inactive_file", "active_file"],
            });
        }
        kinds.split(',').any(|kind| kind == "memory").then(|| Self {
            root: cgroups.join("memory"),
            path,
            limit: "memory.limit_in_bytes",
            usage: "memory.usage_in_bytes",
            files: ["total_inactive_file", "total_active_file"],
        })
    }

    /// The limits of the group and of those that it is in. Those above the root are not visible in a container.
    fn limits(&self) -> Vec<Limits> {
        let mut limits = Vec::new();
        for path in self.path.ancestors() {
            limits.extend(self.limit(&self.root.join(path)));
        }
        limits
    }

    /// The limit in one folder; `None` if there is none.
    fn limit(&self, folder: &Path) -> Option<Limits> {
        let Self {
            limit,
            usage,
            files,
            ..
        } = self;
        let text = |name: &str| fs_err::read_to_string(folder.join(name)).ok();
        let number = |name: &str| text(name)?.trim().parse::<f64>().ok();
        // Without a limit, the file holds `max`, or a number beyond all memory.
        let total = number(limit)?;
        let stat = text("memory.stat").unwrap_or_default();
        // Cached files are dropped when memory is needed.
        let cached: f64 = stat
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(key, _)| files.contains(key))
            .filter_map(|(_, bytes)| bytes.trim().parse::<f64>().ok())
            .sum();
        let used = number(usage).unwrap_or(0.0) - cached;
        Some(Limits {
            total,
            available: (total - used.max(0.0)).max(0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:  8192 kB\nMemFree: 10 kB\nMemAvailable:  4096 kB\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        folder
    }

    fn limits_of(files: &[(&str, &str)]) -> Option<(f64, f64)> {
        let folder = folder(files);
        let limits = read(&folder.path().join("proc"), &folder.path().join("cg"))?;
        Some((
            limits.total_bytes() / 1024.0,
            limits.available_bytes() / 1024.0,
        ))
    }

    #[test]
    fn without_a_control_group_the_machine_counts() {
        let plain = [("proc/meminfo", MEMINFO)];
        assert_eq!(limits_of(&plain), Some((8192.0, 4096.0)));
        assert_eq!(limits_of(&[]), None);
    }

    #[test]
    fn a_limit_of_version_2_counts_also_on_a_parent() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/a/b\n"),
            ("cg/a/b/memory.max", "max\n"),
            ("cg/a/memory.max", "2097152\n"),
            ("cg/a/memory.current", "1048576\n"),
            (
                "cg/a/memory.stat",
                "anon 9\ninactive_file 262144\nactive_file 262144\n",
            ),
        ];
        assert_eq!(limits_of(&files), Some((2048.0, 1536.0)));
    }

    #[test]
    fn a_limit_of_version_1_counts_where_the_container_sees_only_the_root() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "3:cpu:/x\n2:memory:/docker/abc\n"),
            ("cg/memory/memory.limit_in_bytes", "1048576\n"),
            ("cg/memory/memory.usage_in_bytes", "524288\n"),
        ];
        assert_eq!(limits_of(&files), Some((1024.0, 512.0)));
        let unlimited = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "2:memory:/\n"),
            ("cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(limits_of(&unlimited), Some((8192.0, 4096.0)));
    }
}
