# Fuel economy of cars by a linear model with a factor: data mtcars.
source("r_models/train/save.R")

cars <- transform(mtcars, cyl = factor(cyl))
model <- lm(mpg ~ wt + hp + cyl, data = cars)

save_model(model, "mpg", "Miles per gallon of a car from weight (1000 lbs), horsepower and cylinders, linear model")
