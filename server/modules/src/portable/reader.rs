//! A file of XEP-0227 piece by piece: never more of it in memory than one piece.
//!
//! What holds people, contacts, messages and items is walked through; everything inside is cut out as text and read by the
//! same strict reader as stanzas (RFC 6120 11: no document types, no entities of one's own, bounded depth). Files that the
//! document includes (XInclude) are read where they lie beside it. Refuses: includes that lead elsewhere, deeper than
//! [`INCLUDE_DEPTH`], or inside of somebody's data; a piece that is longer than [`PIECE_BYTES`] is passed over and named.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use xmpp::element::Element;

use super::{MAM, PIE};

const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";
pub(super) const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
pub(super) const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
pub(super) const PRIVATE: &str = "jabber:iq:private";

/// Longest piece, in bytes: an item, a message, a vCard, a private element.
pub(super) const PIECE_BYTES: usize = 4 << 20;
/// Longest part of a piece between two marks (`<`), in bytes, and what it takes to find that out.
const TOKEN_BYTES: u64 = PIECE_BYTES as u64 + 65_536;
/// Elements inside each other, in a piece.
const DEPTH: usize = 100;
/// Files inside each other: of the domain, of a person, of a part of theirs.
const INCLUDE_DEPTH: usize = 4;
/// Files that one document includes.
const INCLUDES: u64 = 1_000_000;

/// A part of the document.
#[derive(Debug)]
pub(super) enum Piece {
    /// A virtual host begins.
    Host(String),
    /// A person begins.
    User {
        /// Localpart as written.
        name: String,
        /// In plain text, from servers that keep it so.
        password: Option<zeroize::Zeroizing<String>>,
    },
    /// They end.
    UserEnd,
    /// `<item/>` of a roster.
    Contact(Element),
    /// An element of private XML.
    Private(Element),
    /// A message that waits.
    Offline(Element),
    /// `<result/>` of an archive.
    Archived(Element),
    /// An item of a node.
    Item(String, Element),
    /// What a node's owner says of it.
    Node(Element),
    /// Anything else of a person's.
    Other(Element),
    /// Passed over: what, and why.
    Skipped(String, &'static str),
}

/// Why reading has ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not what it should be; what was read until there counts.
    #[error("{problem} (byte {at}{file})")]
    Refused {
        /// What is wrong with it.
        problem: String,
        /// Where, from the file's start.
        at: u64,
        /// ` of NAME` where it is an included one, else nothing.
        file: String,
    },
    /// Nobody takes the pieces any more.
    #[error("the import was stopped")]
    Stopped,
}

/// Where in the document something is; what can be inside of it follows from that.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Outside of everything.
    Document,
    Server,
    Host,
    User,
    Roster,
    Private,
    Offline,
    Archive,
    Pubsub,
    Items(String),
    Owner,
}

/// Counts what is read, and refuses more than is allowed without an event in between, or in all.
struct Metered<R> {
    inner: R,
    since: u64,
    left: u64,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since > TOKEN_BYTES {
            return Err(io::Error::other("a tag or text is too long"));
        }
        if self.left == 0 {
            return Err(io::Error::other("the file is larger than may be read"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.since += n as u64;
        self.left = self.left.saturating_sub(n as u64);
        self.inner.consume(n);
    }
}

/// Reads a document and hands its pieces to `sink`, which answers false when it wants no more. `bytes` may be read in all.
/// Files are included from `dir` and below; without it none are.
///
/// # Errors
/// See [`ReadError`]; pieces that were handed over are good.
pub(super) fn read(
    source: impl Read,
    dir: Option<&Path>,
    bytes: u64,
    sink: &mut dyn FnMut(Piece) -> bool,
) -> Result<(), ReadError> {
    let root = dir.and_then(|dir| dir.canonicalize().ok());
    let mut walk = Walk {
        sink,
        root: root.clone(),
        left: bytes,
        included: 0,
        places: vec![Place::Document],
    };
    walk.file(Box::new(source), root.as_deref(), 0, String::new())
}

struct Walk<'a> {
    sink: &'a mut dyn FnMut(Piece) -> bool,
    root: Option<PathBuf>,
    left: u64,
    included: u64,
    places: Vec<Place>,
}

/// One file under way.
struct InFile<'r> {
    reader: Reader<Metered<BufReader<Box<dyn Read + 'r>>>>,
    /// Directory it lies in.
    dir: Option<PathBuf>,
    depth: usize,
    name: String,
    /// Prefix (empty: default) and namespace, innermost last.
    bindings: Vec<(String, String)>,
    /// Bindings outside of each open place of this file.
    outside: Vec<usize>,
    /// The document's element has been seen.
    rooted: bool,
}

impl InFile<'_> {
    fn refused(&self, problem: impl Into<String>) -> ReadError {
        ReadError::Refused {
            problem: problem.into(),
            at: self.reader.buffer_position(),
            file: self.name.clone(),
        }
    }

    /// The start tag with what is in scope, as an element by itself is written; without its end.
    fn opened(&self, tag: &BytesStart<'_>) -> String {
        let inside = tag.attributes_raw();
        let mut text = format!("<{}", tag.name().into_inner());
        text += inside.trim_end_matches('/');
        let inner = |(prefix, _): &(String, String), i| {
            self.bindings.iter().rposition(|(p, _)| p == prefix) == Some(i)
        };
        for (i, binding) in self.bindings.iter().enumerate() {
            let (prefix, ns) = binding;
            let name = if prefix.is_empty() {
                "xmlns".to_owned()
            } else {
                format!("xmlns:{prefix}")
            };
            if prefix != "xml" && inner(binding, i) && !declares(tag, &name) {
                text += &format!(" {name}=\"");
                escape(ns, &mut text);
                text.push('"');
            }
        }
        text
    }

    /// The start tag alone, as an empty element.
    fn head(&self, tag: &BytesStart<'_>) -> Result<Element, ReadError> {
        let text = self.opened(tag) + "/>";
        Element::parse(&text, "").map_err(|_| self.refused("a tag is not well-formed"))
    }
}

/// Whether the tag itself says what a prefix means.
fn declares(tag: &BytesStart<'_>, name: &str) -> bool {
    let mut attributes = tag.attributes().flatten();
    attributes.any(|attribute| attribute.key.into_inner() == name)
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

impl Walk<'_> {
    fn give(&mut self, piece: Piece) -> Result<(), ReadError> {
        if (self.sink)(piece) {
            Ok(())
        } else {
            Err(ReadError::Stopped)
        }
    }

    fn file(
        &mut self,
        source: Box<dyn Read + '_>,
        dir: Option<&Path>,
        depth: usize,
        name: String,
    ) -> Result<(), ReadError> {
        let metered = Metered {
            inner: BufReader::with_capacity(64 << 10, source),
            since: 0,
            left: self.left,
        };
        let mut file = InFile {
            reader: Reader::from_reader(metered),
            dir: dir.map(Path::to_owned),
            depth,
            name,
            bindings: vec![
                ("xml".into(), xmpp::ns::XML.into()),
                (String::new(), String::new()),
            ],
            outside: Vec::new(),
            rooted: false,
        };
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let metered = file.reader.get_mut();
            metered.since = 0;
            metered.left = self.left;
            let event = match file.reader.read_event_into(&mut buffer) {
                Ok(event) => event.into_owned(),
                Err(quick_xml::Error::Io(error)) => return Err(file.refused(error.to_string())),
                Err(error) => return Err(file.refused(error.to_string())),
            };
            self.left = file.reader.get_ref().left;
            match event {
                Event::Start(tag) => self.open(&mut file, &tag, false)?,
                Event::Empty(tag) => self.open(&mut file, &tag, true)?,
                Event::End(_) => self.close(&mut file)?,
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    if file.outside.is_empty() {
                        return Err(file.refused("text stands outside of the document"));
                    }
                    let skipped = Piece::Skipped("text".into(), "text stands between elements");
                    self.give(skipped)?;
                }
                Event::DocType(_) => {
                    return Err(
                        file.refused("document types are not read: they may define entities")
                    );
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if file.outside.is_empty() && file.rooted => return Ok(()),
                Event::Eof => return Err(file.refused("the file ends too early")),
            }
        }
    }

    fn open(
        &mut self,
        file: &mut InFile<'_>,
        tag: &BytesStart<'_>,
        empty: bool,
    ) -> Result<(), ReadError> {
        if file.outside.is_empty() && std::mem::replace(&mut file.rooted, true) {
            return Err(file.refused("there is more than one element outside of all others"));
        }
        let head = file.head(tag)?;
        let place = self.places.last().cloned().unwrap_or(Place::Document);
        if head.is("include", XINCLUDE)
            && matches!(place, Place::Server | Place::Host | Place::User)
        {
            if !empty {
                self.pass_over(file, tag)?;
            }
            return self.include(file, &head);
        }
        let Some(inside) = self.enter(file, &place, &head)? else {
            return self.leaf(file, tag, &place, empty);
        };
        if empty {
            return self.left_place(&inside);
        }
        file.outside.push(file.bindings.len());
        for attribute in tag.attributes().flatten() {
            let name = attribute.key.into_inner();
            let prefix = match name.split_once(':') {
                Some(("xmlns", prefix)) => prefix,
                None if name == "xmlns" => "",
                _ => continue,
            };
            // Good: the strict reader has read the whole tag just now.
            let ns = quick_xml::escape::unescape(&attribute.value).unwrap_or_default();
            file.bindings.push((prefix.to_owned(), ns.into_owned()));
        }
        self.places.push(inside);
        Ok(())
    }

    /// Which place begins with this element, if it is one that is walked through.
    fn enter(
        &mut self,
        file: &InFile<'_>,
        place: &Place,
        head: &Element,
    ) -> Result<Option<Place>, ReadError> {
        let named = |attribute: &str| {
            let value = head.get_attr(attribute).map(str::to_owned);
            value.ok_or_else(|| file.refused(format!("<{}/> has no {attribute}", head.name())))
        };
        let inside = match (place, head.name(), head.ns()) {
            (Place::Document, "server-data", PIE) => Place::Server,
            (Place::Document, ..) => {
                return Err(file.refused("the document is not <server-data/> of urn:xmpp:pie:0"));
            }
            (Place::Server, "host", PIE) => {
                self.give(Piece::Host(named("jid")?))?;
                Place::Host
            }
            (Place::Host, "user", PIE) => {
                let password = head.get_attr("password").map(|p| p.to_owned().into());
                let name = named("name")?;
                self.give(Piece::User { name, password })?;
                Place::User
            }
            (Place::User, "query", xmpp::ns::ROSTER) => Place::Roster,
            (Place::User, "query", PRIVATE) => Place::Private,
            (Place::User, "offline-messages", PIE) => Place::Offline,
            (Place::User, "archive", MAM) => Place::Archive,
            (Place::User, "pubsub", PUBSUB) => Place::Pubsub,
            (Place::User, "pubsub", PUBSUB_OWNER) => Place::Owner,
            (Place::Pubsub, "items", PUBSUB) => Place::Items(named("node")?),
            _ => return Ok(None),
        };
        Ok(Some(inside))
    }

    fn close(&mut self, file: &mut InFile<'_>) -> Result<(), ReadError> {
        let (Some(outside), Some(place)) = (file.outside.pop(), self.places.pop()) else {
            return Err(file.refused("an element ends that has not begun"));
        };
        file.bindings.truncate(outside);
        self.left_place(&place)
    }

    fn left_place(&mut self, place: &Place) -> Result<(), ReadError> {
        match place {
            Place::User => self.give(Piece::UserEnd),
            _ => Ok(()),
        }
    }

    /// An element that is taken as a whole.
    fn leaf(
        &mut self,
        file: &mut InFile<'_>,
        tag: &BytesStart<'_>,
        place: &Place,
        empty: bool,
    ) -> Result<(), ReadError> {
        let what = tag.name().into_inner().to_owned();
        let (text, long) = if empty {
            (file.opened(tag) + "/>", false)
        } else {
            self.cut(file, tag)?
        };
        if long {
            return self.give(Piece::Skipped(what, "it is longer than 4 MiB, or too deep"));
        }
        let Ok(element) = Element::parse(&text, "") else {
            return self.give(Piece::Skipped(what, "it is not well-formed"));
        };
        let piece = match place {
            Place::User => Piece::Other(element),
            Place::Roster => Piece::Contact(element),
            Place::Private => Piece::Private(element),
            Place::Offline => Piece::Offline(element),
            Place::Archive => Piece::Archived(element),
            Place::Items(node) => Piece::Item(node.clone(), element),
            Place::Owner => Piece::Node(element),
            Place::Document | Place::Server | Place::Host | Place::Pubsub => {
                Piece::Skipped(what, "it is not known here")
            }
        };
        self.give(piece)
    }

    /// The text of an element whose start tag has just been read, and whether it is too long or deep to be used; what is too
    /// much is read and forgotten.
    fn cut(
        &mut self,
        file: &mut InFile<'_>,
        tag: &BytesStart<'_>,
    ) -> Result<(String, bool), ReadError> {
        let mut text = file.opened(tag) + ">";
        let (mut depth, mut long) = (1_usize, false);
        let mut buffer = Vec::new();
        while depth > 0 {
            buffer.clear();
            let metered = file.reader.get_mut();
            metered.since = 0;
            metered.left = self.left;
            let event = file.reader.read_event_into(&mut buffer);
            let event = match event {
                Ok(event) => event.into_owned(),
                Err(error) => return Err(file.refused(error.to_string())),
            };
            self.left = file.reader.get_ref().left;
            match event {
                Event::Start(tag) => {
                    depth += 1;
                    write(&mut text, &["<", &tag, ">"], long);
                }
                Event::Empty(tag) => write(&mut text, &["<", &tag, "/>"], long),
                Event::End(tag) => {
                    depth -= 1;
                    write(&mut text, &["</", &tag, ">"], long);
                }
                Event::Text(raw) => write(&mut text, &[&raw], long),
                Event::CData(raw) => write(&mut text, &["<![CDATA[", &raw, "]]>"], long),
                Event::GeneralRef(name) => write(&mut text, &["&", &name, ";"], long),
                Event::DocType(_) => {
                    return Err(file.refused("a document type inside of an element"));
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => return Err(file.refused("the file ends too early")),
            }
            if text.len() > PIECE_BYTES || depth > DEPTH {
                long = true;
                text = String::new();
            }
        }
        Ok((text, long))
    }

    fn pass_over(&mut self, file: &mut InFile<'_>, tag: &BytesStart<'_>) -> Result<(), ReadError> {
        self.cut(file, tag).map(|_| ())
    }

    /// Reads an included file in place of the element (XEP-0227 5): its element is one that could stand here.
    fn include(&mut self, file: &InFile<'_>, head: &Element) -> Result<(), ReadError> {
        let href = head.get_attr("href").unwrap_or_default().to_owned();
        let what = format!("include of {href}");
        if head.get_attr("parse").is_some() || head.get_attr("xpointer").is_some() {
            let why = "only whole files of XML are included";
            return self.give(Piece::Skipped(what, why));
        }
        if file.depth >= INCLUDE_DEPTH || self.included >= INCLUDES {
            return self.give(Piece::Skipped(what, "too many files include each other"));
        }
        let (Some(dir), Some(root)) = (&file.dir, &self.root) else {
            let why = "files beside this one are not here; send one file that holds everything";
            return self.give(Piece::Skipped(what, why));
        };
        let Some(path) = beside(dir, root, &href) else {
            let why = "it is not a file beside or below the document";
            return self.give(Piece::Skipped(what, why));
        };
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(_) => return self.give(Piece::Skipped(what, "it cannot be read")),
        };
        self.included += 1;
        let name = format!(" of {}", path.display());
        let dir = path.parent().map(Path::to_owned);
        let places = self.places.len();
        self.file(Box::new(opened), dir.as_deref(), file.depth + 1, name)?;
        self.places.truncate(places);
        Ok(())
    }
}

fn write(text: &mut String, parts: &[&str], long: bool) {
    if !long {
        text.extend(parts.iter().copied());
    }
}

/// The file that a relative reference names, if it is a plain one within `root`.
fn beside(dir: &Path, root: &Path, href: &str) -> Option<PathBuf> {
    let decoded = percent_decoded(href)?;
    let relative = Path::new(&decoded);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if decoded.contains('\0') || href.contains("://") || !relative.components().all(plain) {
        return None;
    }
    let path = dir.join(relative).canonicalize().ok()?;
    (path.starts_with(root) && path.is_file()).then_some(path)
}

fn percent_decoded(href: &str) -> Option<String> {
    let mut out = Vec::with_capacity(href.len());
    let mut bytes = href.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |b: u8| char::from(b).to_digit(16);
            let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
