# A missing value goes on by surrogate splits.

rpart_patients <- function() {
  rows <- rpart::kyphosis[rep(1:81, 3), c("Age", "Number", "Start")]
  rows$Age[1:4] <- c(NA, -1, 0, 1e9)
  rows$Number[5:6] <- c(NA, NA)
  rows$Start[6:7] <- c(NA, 8.5)
  rows[8, ] <- NA
  rownames(rows) <- NULL
  rows
}

rpart_cars <- function() {
  rows <- rpart::car.test.frame[rep(1:60, 4), c("Type", "Weight", "Disp.", "HP")]
  rows$Type[3:4] <- c("Van", NA)
  rows$Weight[5:6] <- c(NA, 1e6)
  rows[7, ] <- NA
  rownames(rows) <- NULL
  rows
}

rpart_type <- function(type) {
  force(type)
  function(model, rows) predict(model, rows, type = type)
}

case(
  "rpart-classes",
  fit = function() rpart::rpart(Kyphosis ~ Age + Number + Start, rpart::kyphosis),
  rows = rpart_patients,
  expect = list(class = rpart_type("class"), prob = rpart_type("prob"))
)

case(
  "rpart-regression",
  fit = function() rpart::rpart(Mileage ~ Type + log(Weight) + Disp. + HP, rpart::car.test.frame, model = TRUE),
  rows = rpart_cars,
  expect = list(response = rpart_type("vector"))
)

case(
  "rpart-poisson",
  fit = function() {
    rpart::rpart(cbind(Age, Number) ~ Start + Kyphosis, rpart::kyphosis, method = "poisson", y = FALSE)
  },
  rows = function() {
    rows <- rpart_patients()
    rows$Kyphosis <- factor(c("absent", "present", NA)[seq_len(nrow(rows)) %% 3 + 1])
    rows
  },
  expect = list(response = rpart_type("vector"))
)

case(
  "rpart-only-the-root",
  fit = function() rpart::rpart(Kyphosis ~ Age + Number, rpart::kyphosis, cp = 1),
  rows = rpart_patients,
  expect = list(class = rpart_type("class"), prob = rpart_type("prob"))
)
