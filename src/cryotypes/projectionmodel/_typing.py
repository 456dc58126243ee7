"""A ProjectionModel is a pandas DataFrame."""

import pandas as pd

ProjectionModel = pd.DataFrame
