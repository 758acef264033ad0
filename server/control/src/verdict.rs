//! Who would accept us how (DNA-31): what phones, strict servers and older servers would conclude about a domain today.

use crate::Control;
use crate::certificate::CertificateView;
use crate::domain::{Memory, VerdictView};
use crate::error::Result;
use store::DomainRow;

impl Control {
    /// The matrix of who × how.
    pub(crate) async fn verdicts(
        &self,
        _row: &DomainRow,
        _memory: &Memory,
        _certificate: Option<&CertificateView>,
    ) -> Result<Vec<VerdictView>> {
        Ok(Vec::new())
    }
}
