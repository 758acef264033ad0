//! Which modules a domain has on, as the router asks with every message.

use std::sync::LazyLock;

use crate::ALL;
use crate::context::DomainSettings;
use crate::hooks::works;
use crate::info::Hooks;
use crate::module::Module;

/// Some of [`ALL`]: a bit for each, in their order. The router asks with every message, so no names are compared then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModuleSet(u64);

const _: () = assert!(ALL.len() <= u64::BITS as usize);

impl ModuleSet {
    /// Those that are on by these settings.
    pub(crate) fn of(settings: &DomainSettings) -> Self {
        Self::where_(|module| works(settings, module))
    }

    fn where_(wanted: impl Fn(&dyn Module) -> bool) -> Self {
        let bits = ALL.iter().enumerate();
        Self(bits.fold(0, |set, (i, module)| set | u64::from(wanted(*module)) << i))
    }

    /// Hooks at which any of them wants to be called.
    pub(crate) fn hooks(self) -> Hooks {
        self.iter()
            .fold(Hooks::NONE, |all, m| all.and(m.info().hooks))
    }

    /// Those of them that want to be called at this one hook.
    pub(crate) fn at(self, hook: Hooks) -> Self {
        static AT: LazyLock<[ModuleSet; Hooks::COUNT]> = LazyLock::new(|| {
            std::array::from_fn(|i| {
                ModuleSet::where_(|module| module.info().hooks.has(Hooks::nth(i)))
            })
        });
        Self(self.0 & AT[hook.index()].0)
    }

    /// Whether the one at this place of [`ALL`] is in it.
    pub(crate) const fn has(self, at: usize) -> bool {
        at < ALL.len() && self.0 & (1 << at) != 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'static dyn Module> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let module = ALL.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(*module)
        })
    }
}
