//! Result Set Management, XEP-0059 version 1.0: pages of long answers.
//!
//! Why one place: what an empty `<before/>` means is easily got wrong twice. Refuses: pages by index, for which whatever
//! answers would have to count from the start.

use xmpp::element::Element;
use xmpp::stanza::Condition;

use crate::context::Refusal;

/// Namespace.
pub(crate) const NS: &str = "http://jabber.org/protocol/rsm";

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Items at most.
    pub(crate) max: Option<u32>,
    /// From where on, and in which direction.
    pub(crate) from: From,
}

/// Where a page lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// After this item; from the start without one.
    After(Option<String>),
    /// Before this item; at the end without one.
    Before(Option<String>),
}

/// Reads the `<set/>` among the children of a request.
///
/// # Errors
/// `<bad-request/>`: it is none; `<feature-not-implemented/>`: a page by index.
pub(crate) fn page(parent: &Element) -> Result<Option<Page>, Refusal> {
    let Some(set) = parent.find("set", NS) else {
        return Ok(None);
    };
    if set.find("index", NS).is_some() {
        return Err(Refusal::new(Condition::FeatureNotImplemented)
            .with_text("pages are asked for by the item before or after them"));
    }
    let max = match set.find("max", NS) {
        None => None,
        Some(max) => Some(max.text_content().trim().parse().map_err(|_| {
            Refusal::new(Condition::BadRequest).with_text("max is a number of items")
        })?),
    };
    let text = |name| {
        let text = set.find(name, NS)?.text_content();
        Some(Some(text).filter(|text| !text.is_empty()))
    };
    let from = match (text("after"), text("before")) {
        (None, None) => From::After(None),
        (Some(after), None) => From::After(after),
        (None, Some(before)) => From::Before(before),
        (Some(_), Some(_)) => {
            return Err(Refusal::new(Condition::BadRequest)
                .with_text("a page is after an item or before one"));
        }
    };
    Ok(Some(Page { max, from }))
}

/// The `<set/>` of an answer. `ends` are the first and the last item of the page, `index` the number of items before it.
pub(crate) fn set(ends: Option<(&str, &str)>, index: u64, count: u64) -> Element {
    let mut set = Element::new("set", NS);
    if let Some((first, last)) = ends {
        set.push(
            Element::new("first", NS)
                .attr("index", index.to_string())
                .text(first),
        );
        set.push(Element::new("last", NS).text(last));
    }
    set.child(Element::new("count", NS).text(count.to_string()))
}

/// A page of items that are all in memory, in order, at most `most` of them, and the `<set/>` that goes with it.
///
/// # Errors
/// `<item-not-found/>`: the item before or after it is not among them (2.2).
pub(crate) fn slice<'a, T>(
    all: &'a [T],
    asked: Option<&Page>,
    most: usize,
    name: impl Fn(&T) -> &str,
) -> Result<(&'a [T], Element), Refusal> {
    let max = asked.and_then(|page| page.max);
    let most = max.map_or(most, |max| (max as usize).min(most));
    let place = |wanted: &str| {
        let at = all.iter().position(|item| name(item) == wanted);
        at.ok_or_else(|| Refusal::from(Condition::ItemNotFound))
    };
    let (start, end) = match asked.map(|page| &page.from) {
        None | Some(From::After(None)) => (0, most.min(all.len())),
        Some(From::After(Some(item))) => {
            let start = place(item)? + 1;
            (start, (start + most).min(all.len()))
        }
        Some(From::Before(item)) => {
            let end = item.as_ref().map_or(Ok(all.len()), |item| place(item))?;
            (end.saturating_sub(most), end)
        }
    };
    let shown = all.get(start..end).unwrap_or_default();
    let ends = shown.first().zip(shown.last());
    let ends = ends.map(|(first, last)| (name(first), name(last)));
    Ok((shown, set(ends, start as u64, all.len() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &str) -> Result<Option<Page>, Condition> {
        let xml = format!("<query>{set}</query>");
        let element = Element::parse(&xml, "q").expect("well-formed");
        page(&element).map_err(|refusal| refusal.condition())
    }

    #[test]
    fn pages_by_their_neighbours() {
        let is = |max, from| Ok(Some(Page { max, from }));
        let ns = format!("<set xmlns='{NS}'>");
        assert_eq!(read(""), Ok(None));
        assert_eq!(
            read(&format!("{ns}<max>3</max></set>")),
            is(Some(3), From::After(None))
        );
        assert_eq!(
            read(&format!("{ns}<after>a</after></set>")),
            is(None, From::After(Some("a".into())))
        );
        assert_eq!(
            read(&format!("{ns}<before/></set>")),
            is(None, From::Before(None))
        );
        assert_eq!(
            read(&format!("{ns}<max>-1</max></set>")),
            Err(Condition::BadRequest)
        );
        assert_eq!(
            read(&format!("{ns}<index>1</index></set>")),
            Err(Condition::FeatureNotImplemented)
        );
        assert_eq!(
            read(&format!("{ns}<after/><before/></set>")),
            Err(Condition::BadRequest)
        );
    }
}
