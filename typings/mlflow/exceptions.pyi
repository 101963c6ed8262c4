class MlflowException(Exception):
    error_code: str
    message: str
