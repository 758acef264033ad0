//! QR codes as inline SVG: for a camera to carry an address to another device. No image file, no script, nothing asked elsewhere.

use std::fmt::Write as _;

use askama::filters::Safe;
use qrcode::{Color, EcLevel, QrCode};

use crate::ui::{Markup, escape};

/// Light modules around the code (ISO/IEC 18004 asks for four).
const QUIET: usize = 4;

/// A code that holds `text`; `label` says what it leads to, for those who cannot see it. Nothing where it holds too much: the
/// text stands beside it in any case.
///
/// Dark on light in both themes, because many cameras read nothing else.
pub(crate) fn svg(text: &str, label: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return Safe(String::new());
    };
    let width = code.width();
    let modules = code.to_colors();
    let mut path = String::new();
    for (y, row) in modules.chunks(width).enumerate() {
        let mut x = 0;
        while x < width {
            let run = row[x..]
                .iter()
                .take_while(|module| **module == Color::Dark)
                .count();
            if run > 0 {
                // Writing to a String cannot fail.
                let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    let side = width + 2 * QUIET;
    Safe(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}h-{side}z\"/><path fill=\"#000\" d=\"{path}\"/></svg>",
        escape(label)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_its_three_eyes_a_quiet_zone_and_a_label() {
        let Safe(svg) = svg("https://web.hosting.example/invite/token", "a \"link\"");
        // The top edges of the two upper eyes, seven dark modules each, four modules from the edge.
        assert!(svg.contains("d=\"M4 4h7v1h-7z"), "{svg}");
        assert!(
            svg.contains("aria-label=\"a &quot;link&quot;\"") || svg.contains("&#34;link"),
            "{svg}"
        );
        assert!(svg.len() < 12_000, "{}", svg.len());
        let Safe(nothing) = super::svg(&"x".repeat(10_000), "");
        assert_eq!(nothing, "");
    }
}
