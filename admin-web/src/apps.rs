//! Apps to chat with, for people who have none yet: what runs on which device, and where it is to be had.

/// An app, where it runs, where it is to be had.
pub(crate) struct App {
    pub(crate) name: &'static str,
    pub(crate) system: &'static str,
    /// What browsers on such a system say about themselves.
    agents: &'static [&'static str],
    pub(crate) link: &'static str,
    /// It makes accounts by the button (XEP-0445); others sign in with an account that was made here.
    pub(crate) knows: bool,
}

/// Apps that are kept up and to be had for nothing, one or two for each kind of device.
const APPS: [App; 7] = [
    App {
        name: "Conversations",
        system: "Android",
        agents: &["Android"],
        link: "https://conversations.im/",
        knows: true,
    },
    App {
        name: "Cheogram",
        system: "Android",
        agents: &["Android"],
        link: "https://cheogram.com/",
        knows: true,
    },
    App {
        name: "Monal",
        system: "iPhone, iPad, Mac",
        agents: &["iPhone", "iPad", "Mac OS"],
        link: "https://monal-im.org/",
        knows: true,
    },
    App {
        name: "Siskin",
        system: "iPhone, iPad",
        agents: &["iPhone", "iPad"],
        link: "https://siskin.im/",
        knows: true,
    },
    App {
        name: "Gajim",
        system: "Windows, Linux, Mac",
        agents: &["Windows", "Linux", "Mac OS"],
        link: "https://gajim.org/",
        knows: true,
    },
    App {
        name: "Dino",
        system: "Linux",
        agents: &["Linux"],
        link: "https://dino.im/",
        knows: false,
    },
    App {
        name: "Converse",
        system: "any browser",
        agents: &[],
        link: "https://conversejs.org/",
        knows: false,
    },
];

/// Does an app run where this browser does? Android calls itself Linux too, and an iPad a Mac.
fn runs(app: &App, agent: &str) -> bool {
    let named =
        |word: &&str| agent.contains(*word) && !(**word == *"Linux" && agent.contains("Android"));
    app.agents.iter().any(named)
}

/// Those for the device that asks, and the others (`true`); where the device is not known, all of them at once.
pub(crate) fn for_device(agent: &str) -> Vec<(bool, Vec<&'static App>)> {
    let (here, others): (Vec<_>, Vec<_>) = APPS.iter().partition(|app| runs(app, agent));
    if here.is_empty() {
        return vec![(false, others)];
    }
    vec![(false, here), (true, others)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_for_the_device_that_asks_come_first() {
        for (agent, first) in [
            (
                "Mozilla/5.0 (Linux; Android 16) Chrome/140",
                "Conversations",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)",
                "Monal",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64) Firefox/150", "Gajim"),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "Gajim"),
            ("curl/8", "Conversations"),
        ] {
            let groups = for_device(agent);
            assert_eq!(groups[0].1[0].name, first, "{agent}");
            let all: usize = groups.iter().map(|(_, apps)| apps.len()).sum();
            assert_eq!(all, APPS.len(), "{agent}");
        }
    }
}
