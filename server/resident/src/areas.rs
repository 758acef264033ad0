//! The process's mappings, as `/proc/self/smaps` tells of them (proc(5)).

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// First address.
    pub(crate) start: usize,
    /// One past the last.
    pub(crate) end: usize,
    /// Permissions, offset, device and inode, as they are written.
    what: String,
    /// Bytes of it that are resident.
    pub(crate) rss_bytes: u64,
    /// Bytes that are the process's own: written to since they were mapped. `None`: the kernel does not say.
    own_bytes: Option<u64>,
}

impl Area {
    /// Whether nothing can be there but what is in its file: private, not writable, never written to.
    pub(crate) fn is_constant(&self) -> bool {
        let mut words = self.what.split(' ');
        let permissions = words.next().unwrap_or_default().as_bytes();
        let of_a_file = words.nth(2).is_some_and(|inode| inode != "0");
        matches!(permissions, [b'r', b'-', _, b'p']) && of_a_file && self.own_bytes == Some(0)
    }

    /// Whether it is that mapping still.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (self.start, self.end, &self.what) == (other.start, other.end, &other.what)
    }
}

/// All mappings; none where the kernel does not say.
pub(crate) fn areas() -> Vec<Area> {
    std::fs::read_to_string("/proc/self/smaps").map_or_else(|_| Vec::new(), |text| read(&text))
}

fn read(text: &str) -> Vec<Area> {
    let mut found: Vec<Area> = Vec::new();
    for line in text.lines() {
        if let Some(area) = header(line) {
            found.push(area);
        } else if let Some(area) = found.last_mut() {
            if let Some(rss) = kilobytes(line, "Rss:") {
                area.rss_bytes = rss * 1024;
            }
            if let Some(own) = kilobytes(line, "Anonymous:") {
                area.own_bytes = Some(own * 1024);
            }
        }
    }
    found
}

/// `55d0c0a00000-55d0c0c00000 r-xp 00200000 fe:00 1234   /usr/bin/domicile`; the path may be anything, and may change.
fn header(line: &str) -> Option<Area> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let what: Vec<&str> = words.take(4).collect();
    Some(Area {
        start: address(start)?,
        end: address(end)?,
        what: (what.len() == 4).then(|| what.join(" "))?,
        rss_bytes: 0,
        own_bytes: None,
    })
}

/// The number of a line `Rss:      12 kB`, the first of that name in the text.
pub(crate) fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0c0a00000-55d0c0c00000 r-xp 00200000 fe:00 1234                       /usr/bin/a name with - in it
Size:               2048 kB
Rss:                 640 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
55d0c0c00000-55d0c0d00000 r--p 00400000 fe:00 1234                       /usr/bin/domicile (deleted)
Rss:                1024 kB
Anonymous:           516 kB
55d0c0d00000-55d0c0d10000 rw-p 00500000 fe:00 1234                       /usr/bin/domicile
Rss:                   8 kB
Anonymous:             0 kB
7f0000000000-7f0000001000 r--s 00000000 fe:00 99                         /var/lib/shared
Rss:                   4 kB
Anonymous:             0 kB
7f0000010000-7f0000020000 r--p 00000000 00:00 0
Rss:                   4 kB
Anonymous:             0 kB
7f0000030000-7f0000040000 r--p 00000000 fe:00 77                         /lib/of/an/old/kernel
Rss:                   4 kB
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
";

    #[test]
    fn only_what_cannot_differ_from_its_file_is_constant() {
        let found = read(SMAPS);
        let constant: Vec<bool> = found.iter().map(Area::is_constant).collect();
        assert_eq!(
            constant,
            [true, false, false, false, false, false, false],
            "{found:#?}"
        );
        assert_eq!(
            (found[0].start, found[0].end, found[0].rss_bytes),
            (0x55d0_c0a0_0000, 0x55d0_c0c0_0000, 640 * 1024)
        );
    }

    #[test]
    fn a_mapping_is_the_same_whatever_its_file_is_called_now() {
        let renamed = SMAPS.replace("a name with - in it", "domicile (deleted)");
        let moved = SMAPS.replace("00200000 fe:00 1234", "00201000 fe:00 1234");
        let (before, renamed, moved) = (read(SMAPS), read(&renamed), read(&moved));
        assert!(before[0].is_same(&renamed[0]));
        assert!(!before[0].is_same(&moved[0]) && !before[0].is_same(&before[1]));
    }
}
