//! From the application's errors to problem documents.

use strongroom_api::{FieldError, codes};
use strongroom_app::Error;

use crate::Problem;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        // A code that the table does not have would be a mistake of ours: it goes out as one.
        let Some(code) = codes::find(error.code) else {
            return Self::internal(error);
        };
        let error = error.into_refused();
        let mut problem = Self::new(code, error.detail);
        if !error.fields.is_empty() {
            let fields = error.fields.into_iter();
            problem = problem.with_errors(
                fields
                    .map(|field| FieldError {
                        pointer: field.pointer,
                        code: field.code.to_owned(),
                        detail: field.detail,
                    })
                    .collect(),
            );
        }
        if let Some(wait) = error.retry_after {
            problem = problem.with_retry_after(wait);
        }
        if let Some(resource) = error.resource {
            problem = problem.with_resource(resource.into());
        }
        if let Some(challenge) = error.challenge {
            problem = problem.with_challenge(challenge.into());
        }
        if let Some(confirmation) = error.confirmation {
            problem = problem.with_confirmation(confirmation.into());
        }
        match error.source {
            Some(source) => problem.with_source(Cause(source)),
            None => problem,
        }
    }
}

/// A shared cause as an error of its own.
#[derive(Debug)]
struct Cause(std::sync::Arc<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use strongroom_domain::ledger::Refusal;

    use super::*;

    #[test]
    fn every_refusal_of_the_books_has_its_code_and_its_kind_of_status() {
        for refusal in Refusal::ALL {
            if *refusal == Refusal::NumberTaken {
                continue; // drawn again inside, never told
            }
            let error = Error::from(*refusal);
            let code = codes::find(refusal.code())
                .unwrap_or_else(|| panic!("{} is not in the table", refusal.code()));
            assert_eq!(
                format!("{:?}", code.kind),
                format!("{:?}", error.kind),
                "{}",
                refusal.code()
            );
        }
    }
}
