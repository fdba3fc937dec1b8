# partykit::cforest. Where its trees cannot tell which way a row goes, it goes the likeliest way; see constparty.R.
# predict() compares each row with all that the forest was grown on, so that it takes its time.

model_package.cforest <- function(model) "partykit"

describe_inputs.cforest <- function(model) inputs_from_party(model)

output_names.cforest <- function(model) party_outputs(model)

predict_rows.cforest <- function(model, newdata, output, arguments) {
  # A forest grown on several cores would fork for a prediction as well.
  model$info$control$applyfun <- lapply
  predict_party_surely(model, newdata, output, arguments)
}
