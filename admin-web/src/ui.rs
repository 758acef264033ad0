//! Small pieces of markup that templates ask the frame for: icons, chips, times, copy buttons, hidden fields. Whatever text is
//! put into them is escaped here.

use std::fmt::Write as _;

use askama::filters::Safe;
use control::Timestamp;

use crate::form::CSRF_FIELD;
use crate::frame::Frame;
use crate::words;

/// Markup that needs no escaping.
pub(crate) type Markup = Safe<String>;

impl Frame {
    /// An icon; the word beside it says the same, so it is hidden from screen readers.
    pub(crate) fn icon(&self, name: &str) -> Markup {
        Safe(icon(name))
    }

    /// A status chip.
    pub(crate) fn chip(&self, word: &str) -> Markup {
        let (icon_name, colour) = words::chip(word);
        self.badge(icon_name, colour, word)
    }

    /// A chip with any word.
    pub(crate) fn badge(&self, icon_name: &str, colour: &str, word: &str) -> Markup {
        Safe(format!(
            "<span class=\"chip is-{colour}\">{}{}</span>",
            icon(icon_name),
            escape(word)
        ))
    }

    /// A relative time with the exact one on hover.
    pub(crate) fn when(&self, time: &Timestamp) -> Markup {
        Safe(format!(
            "<time datetime=\"{}\" title=\"{}\" data-relative>{}</time>",
            time.to_xep0082(),
            words::exact(*time),
            words::relative(*time, self.now)
        ))
    }

    /// A day with the exact time on hover.
    pub(crate) fn date(&self, time: &Timestamp) -> Markup {
        Safe(format!(
            "<time datetime=\"{}\" title=\"{}\">{}</time>",
            time.to_xep0082(),
            words::exact(*time),
            words::day(*time)
        ))
    }

    /// The exact time, to the minute.
    pub(crate) fn moment(&self, time: &Timestamp) -> Markup {
        Safe(format!(
            "<time datetime=\"{}\">{}</time>",
            time.to_xep0082(),
            words::exact(*time)
        ))
    }

    /// A button that copies `text`; `what` says what, for those who cannot see what it stands beside.
    pub(crate) fn copy(&self, text: &str, what: &str) -> Markup {
        Safe(format!(
            "<button type=\"button\" class=\"copy\" data-copy=\"{}\"><span class=\"before\">Copy</span><span class=\"after\">{}Copied</span><span class=\"sr\"> {}</span></button>",
            escape(text),
            icon("check"),
            escape(what)
        ))
    }

    /// The hidden field of every form.
    pub(crate) fn secret_field(&self) -> Markup {
        Safe(format!(
            "<input type=\"hidden\" name=\"{CSRF_FIELD}\" value=\"{}\">",
            escape(self.csrf())
        ))
    }

    /// Marks a field that is at fault.
    pub(crate) fn mark(&self, field: &str) -> Safe<&'static str> {
        Safe(if self.wrong(field) {
            " aria-invalid=\"true\" aria-errormessage=\"problem\""
        } else {
            ""
        })
    }

    /// What is wrong with this field, said again beside it: what stands above the form may be out of sight.
    pub(crate) fn said_at(&self, field: &str) -> Markup {
        let wrong = self.problem.as_ref().filter(|problem| problem.at(field));
        Safe(wrong.map_or_else(String::new, |problem| {
            format!(
                "<p class=\"hint\"><span class=\"is-bad\">{}</span></p>",
                escape(&problem.text)
            )
        }))
    }
}

/// A name of the DNS, which goes on a new line after a dot rather than within a word where there is little room.
pub(crate) fn parted(name: &str) -> Markup {
    Safe(escape(name).replace('.', ".<wbr>"))
}

/// Escapes text for HTML content and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// An icon of 20 × 20 in the colour of the text.
pub(crate) fn icon(name: &str) -> String {
    let shape = match name {
        "check-full" => {
            "<circle cx=\"10\" cy=\"10\" r=\"8.5\" fill=\"currentColor\"/><path d=\"m6.2 10.4 2.6 2.6 5-5.6\" fill=\"none\" stroke=\"var(--card)\" stroke-width=\"1.8\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        }
        "check" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\"/><path d=\"m6.6 10.4 2.3 2.3 4.5-5\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        }
        "dot" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.8\"/><circle cx=\"10\" cy=\"10\" r=\"3.6\" fill=\"currentColor\"/>"
        }
        "hand" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\"/><path d=\"M6.5 10h6.4m-2.6-3 3 3-3 3\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        }
        "clock" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\"/><path d=\"M10 5.8V10l2.8 1.8\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>"
        }
        "warn" => {
            "<path d=\"M10 2.8 18 16.6H2z\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linejoin=\"round\"/><path d=\"M10 8v4\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linecap=\"round\"/><circle cx=\"10\" cy=\"14.2\" r=\"1\" fill=\"currentColor\"/>"
        }
        "bad" => {
            "<path d=\"M6.7 2h6.6L18 6.7v6.6L13.3 18H6.7L2 13.3V6.7z\" fill=\"currentColor\"/><path d=\"M10 5.8v5\" stroke=\"var(--card)\" stroke-width=\"1.9\" stroke-linecap=\"round\"/><circle cx=\"10\" cy=\"13.7\" r=\"1.1\" fill=\"var(--card)\"/>"
        }
        "cross" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\"/><path d=\"m7.2 7.2 5.6 5.6m0-5.6-5.6 5.6\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-linecap=\"round\"/>"
        }
        "stop" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\"/><path d=\"M7.2 7.2h5.6v5.6H7.2z\" fill=\"currentColor\"/>"
        }
        "info" => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\"/><path d=\"M10 9.4v4\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linecap=\"round\"/><circle cx=\"10\" cy=\"6.6\" r=\"1\" fill=\"currentColor\"/>"
        }
        "menu" => {
            "<path d=\"M3 5.5h14M3 10h14M3 14.5h14\" stroke=\"currentColor\" stroke-width=\"1.7\" stroke-linecap=\"round\"/>"
        }
        // Hollow: not known, nothing wrong.
        _ => {
            "<circle cx=\"10\" cy=\"10\" r=\"7.6\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.6\" stroke-dasharray=\"2.6 2.2\"/>"
        }
    };
    let mut out = String::with_capacity(shape.len() + 64);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<svg class=\"i\" viewBox=\"0 0 20 20\" aria-hidden=\"true\">{shape}</svg>"
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_its_attribute() {
        assert_eq!(
            escape("<a href='x'>\"&"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;"
        );
    }
}
