//! Where frames begin and end: the byte-by-byte half of framing.
//!
//! Why apart from validation: this half sees incomplete input, keeps limits while it waits, and touches each byte once.
//! Refuses early what can be known early: markup that XMPP restricts, text between first-level elements.

use super::declaration::xml_declaration;
use super::validate::{Checked, Validator, markup_error};
use super::{Frame, FrameError, Limits, RawElement, StreamHeader, chars, tag};

/// Cuts a byte stream into frames. All state is in here, so a read may be cancelled at any time.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Where the frame being collected begins.
    start: usize,
    /// How far the bytes have been looked at.
    scan: usize,
    /// Elements open, the stream included.
    depth: usize,
    state: State,
    document: Document,
    header: StreamHeader,
    /// Qualified name of the root as written; its end tag must match.
    root: String,
    failed: Option<FrameError>,
    validator: Validator,
    #[cfg(test)]
    pub(super) looked_at: usize,
}

/// Where in the markup the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    /// After `<`.
    Lt,
    /// After `<!` and this many bytes of `[CDATA[`.
    Bang(usize),
    Cdata,
    /// In the XML declaration.
    Declaration,
    StartTag,
    Quoted(u8),
    EndTag,
}

/// How far the XML document has come, for the rules at its first level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Document {
    /// Not one byte yet: only here and in [`Document::Again`] may an XML declaration stand.
    Fresh,
    /// The same after another document: white space is still that one's, which may end with it (RFC 6120 11.7).
    /// COMPAT: go-xmpp (go-sendxmpp) writes a line feed behind `<auth/>`, before the next declaration.
    Again,
    Prolog,
    Open,
    /// `<stream:stream/>`: the close follows at once.
    Closing,
    Closed,
}

enum Cut {
    Header,
    Element,
    Close,
}

impl Framer {
    /// A framer at the start of a stream. Allocates nothing until bytes come.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            start: 0,
            scan: 0,
            depth: 0,
            state: State::Text,
            document: Document::Fresh,
            header: StreamHeader::default(),
            root: String::new(),
            failed: None,
            validator: Validator::default(),
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Appends bytes read. Call [`Framer::next`] until it wants more before pushing again, so that limits are kept.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            // What was handed out is gone; what is left is at most one incomplete frame.
            self.buffer.drain(..self.start);
            self.scan -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Next complete frame; `None` when more bytes are needed. An error is final: it comes again on every later call.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame lends from self, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (from, cut) = match self.cut() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.fail(error)),
        };
        match cut {
            // In two steps: what is lent cannot be returned from a match that also frees the buffer.
            Cut::Element => {
                let checked = match self.validate(from) {
                    Ok(checked) => checked,
                    Err(error) => return Err(self.fail(error)),
                };
                // Checked to be UTF-8 a moment ago; asking again costs 16 ns and spares an unsafe block.
                let text = std::str::from_utf8(&self.buffer[from..self.start]).unwrap_or_default();
                Ok(Some(Frame::Element(RawElement::assemble(
                    text,
                    &self.header,
                    checked,
                    &self.validator,
                ))))
            }
            Cut::Header => match self.read_header(from) {
                Ok(()) => Ok(Some(Frame::Header(self.header.clone()))),
                Err(error) => Err(self.fail(error)),
            },
            Cut::Close => match self.read_close(from) {
                Ok(()) => Ok(Some(Frame::Close)),
                Err(error) => Err(self.fail(error)),
            },
        }
    }

    /// Bytes pushed and not yet handed out in a frame. After `<starttls/>` this must be 0 (RFC 6120 5.4.3.3): whatever
    /// came before TLS was not protected by it.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Starts a new XML document after STARTTLS (RFC 6120 4.3.3). Whatever is buffered came unprotected and is dropped;
    /// see [`Framer::buffered`].
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.start = 0;
        self.restart();
    }

    /// Starts a new XML document on the same protected connection, after SASL success: bytes that came right behind the
    /// last response are the new document's first.
    pub fn restart(&mut self) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.scan = 0;
        self.depth = 0;
        self.state = State::Text;
        self.document = Document::Again;
        self.header = StreamHeader::default();
        self.root.clear();
        self.failed = None;
    }

    /// Changes the limits, effective at once (larger after authentication, XEP-0478).
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The stream header, once it has come.
    pub fn header(&self) -> Option<&StreamHeader> {
        matches!(
            self.document,
            Document::Open | Document::Closing | Document::Closed
        )
        .then_some(&self.header)
    }

    /// Frees all memory that is not needed to continue: call it when the stream is idle.
    pub fn shrink(&mut self) {
        self.buffer.drain(..self.start);
        self.scan -= self.start;
        self.start = 0;
        self.buffer.shrink_to_fit();
        self.validator = Validator::default();
    }

    fn fail(&mut self, error: FrameError) -> FrameError {
        self.failed = Some(error);
        self.buffer = Vec::new();
        self.start = 0;
        self.scan = 0;
        error
    }

    /// Finds the end of the next frame and moves `start` there; returns where the frame begins.
    fn cut(&mut self) -> Result<Option<(usize, Cut)>, FrameError> {
        if self.document == Document::Closing {
            self.document = Document::Closed;
            return Ok(Some((self.start, Cut::Close)));
        }
        while let Some(&byte) = self.buffer.get(self.scan) {
            #[cfg(test)]
            let before = self.scan;
            let cut = match self.state {
                State::Text if self.depth > 1 => {
                    self.seek(memchr::memchr(b'<', self.unseen()), State::Lt);
                    None
                }
                State::Text => {
                    self.between(byte)?;
                    None
                }
                State::Lt => {
                    self.markup(byte)?;
                    None
                }
                State::Bang(n) => {
                    self.bang(byte, n)?;
                    None
                }
                State::Cdata => {
                    let end = memchr::memchr(b'>', self.unseen());
                    let closes = end.is_some_and(|i| self.buffer[..self.scan + i].ends_with(b"]]"));
                    self.seek(end, if closes { State::Text } else { State::Cdata });
                    None
                }
                State::Declaration => {
                    self.declaration()?;
                    None
                }
                State::Quoted(quote) => {
                    self.seek(memchr::memchr(quote, self.unseen()), State::StartTag);
                    None
                }
                State::StartTag => self.start_tag()?,
                State::EndTag => self.end_tag(),
            };
            #[cfg(test)]
            {
                self.looked_at += self.scan - before;
            }
            if let Some(cut) = cut {
                let from = self.start;
                self.start = self.scan;
                self.state = State::Text;
                if self.start - from > self.limits.element_bytes {
                    return Err(FrameError::TooLong);
                }
                return Ok(Some((from, cut)));
            }
        }
        if self.buffer.len() - self.start > self.limits.element_bytes {
            return Err(FrameError::TooLong);
        }
        Ok(None)
    }

    fn unseen(&self) -> &[u8] {
        &self.buffer[self.scan..]
    }

    /// Past the byte found, into `then`; to the end of the buffer when there is none.
    fn seek(&mut self, found: Option<usize>, then: State) {
        match found {
            Some(i) => {
                self.scan += i + 1;
                self.state = then;
            }
            None => self.scan = self.buffer.len(),
        }
    }

    /// Before the header and between first-level elements: white space (XML-07) or `<`, nothing else.
    fn between(&mut self, byte: u8) -> Result<(), FrameError> {
        if matches!(self.document, Document::Fresh | Document::Again)
            && matches!(byte, 0 | 0xFE | 0xFF)
        {
            return Err(FrameError::Encoding); // UTF-16 or UTF-32, with or without a mark
        }
        self.start = self.scan;
        self.scan += 1;
        match byte {
            b'<' if self.document != Document::Closed => self.state = State::Lt,
            b if chars::is_space(b) => {
                self.start = self.scan;
                if self.document == Document::Fresh {
                    self.document = Document::Prolog;
                }
            }
            _ => return Err(FrameError::NotWellFormed("text at the first level")),
        }
        Ok(())
    }

    /// The byte after `<`.
    fn markup(&mut self, byte: u8) -> Result<(), FrameError> {
        self.scan += 1;
        self.state = match byte {
            b'/' if self.depth > 0 => State::EndTag,
            b'!' => State::Bang(0),
            b'?' if matches!(self.document, Document::Fresh | Document::Again) => {
                State::Declaration
            }
            b'?' => return Err(FrameError::Restricted("processing instruction")),
            b if chars::may_start_name(b) => State::StartTag,
            _ => return Err(FrameError::NotWellFormed("bad markup")),
        };
        Ok(())
    }

    fn bang(&mut self, byte: u8, n: usize) -> Result<(), FrameError> {
        const CDATA: &[u8] = b"[CDATA[";
        self.scan += 1;
        if self.depth < 2 || CDATA[n] != byte {
            return Err(if n == 0 {
                markup_error(&[b'<', b'!', byte])
            } else {
                FrameError::NotWellFormed("bad markup")
            });
        }
        self.state = if n + 1 == CDATA.len() {
            State::Cdata
        } else {
            State::Bang(n + 1)
        };
        Ok(())
    }

    fn declaration(&mut self) -> Result<(), FrameError> {
        let end = memchr::memchr(b'>', self.unseen());
        self.seek(end, State::Text);
        let seen = &self.buffer[self.start..self.scan];
        // `<?` that does not go on as `<?xml ` is a processing instruction, and known to be one early.
        if !b"<?xml".starts_with(&seen[..seen.len().min(5)])
            || seen
                .get(5)
                .is_some_and(|b| !chars::is_space(*b) && *b != b'?')
        {
            return Err(FrameError::Restricted("processing instruction"));
        }
        if end.is_some() {
            xml_declaration(seen)?;
            self.start = self.scan;
            self.document = Document::Prolog;
        }
        Ok(())
    }

    fn start_tag(&mut self) -> Result<Option<Cut>, FrameError> {
        let Some(i) = memchr::memchr3(b'>', b'"', b'\'', self.unseen()) else {
            self.scan = self.buffer.len();
            return Ok(None);
        };
        let at = self.scan + i;
        self.scan = at + 1;
        if self.buffer[at] != b'>' {
            self.state = State::Quoted(self.buffer[at]);
            return Ok(None);
        }
        self.state = State::Text;
        let empty = self.buffer[at - 1] == b'/';
        if self.depth > self.limits.depth {
            return Err(FrameError::TooDeep);
        }
        if self.depth == 0 {
            self.depth = 1;
            self.document = if empty {
                Document::Closing
            } else {
                Document::Open
            };
            return Ok(Some(Cut::Header));
        }
        if !empty {
            self.depth += 1;
        }
        Ok((empty && self.depth == 1).then_some(Cut::Element))
    }

    fn end_tag(&mut self) -> Option<Cut> {
        let end = memchr::memchr(b'>', self.unseen());
        self.seek(end, State::Text);
        end?;
        self.depth -= 1;
        match self.depth {
            0 => {
                self.document = Document::Closed;
                Some(Cut::Close)
            }
            1 => Some(Cut::Element),
            _ => None,
        }
    }

    fn validate(&mut self, from: usize) -> Result<Checked, FrameError> {
        let text = std::str::from_utf8(&self.buffer[from..self.start])
            .map_err(|_| FrameError::Encoding)?;
        self.validator.element(text, &self.header, self.limits)
    }

    fn read_header(&mut self, from: usize) -> Result<(), FrameError> {
        let text = std::str::from_utf8(&self.buffer[from..self.start])
            .map_err(|_| FrameError::Encoding)?;
        self.header = self.validator.header(text, self.limits)?;
        self.root = tag::StartTag::read(text, 0)
            .map(|t| t.name.to_owned())
            .unwrap_or_default();
        Ok(())
    }

    fn read_close(&self, from: usize) -> Result<(), FrameError> {
        let text = std::str::from_utf8(&self.buffer[from..self.start])
            .map_err(|_| FrameError::Encoding)?;
        // Empty for `<stream:stream/>`, which needs no end tag.
        if text.is_empty() {
            return Ok(());
        }
        let name = text
            .strip_prefix("</")
            .and_then(|t| t.strip_suffix('>'))
            .unwrap_or_default();
        if name.trim_end_matches([' ', '\t', '\r', '\n']) == self.root {
            Ok(())
        } else {
            Err(FrameError::NotWellFormed("end tag of another element"))
        }
    }
}
