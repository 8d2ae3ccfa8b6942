"""What a customer's call can end in when it is not done.

    GatewayError        the answer is {"error": words}, and nothing was changed
      WrongKey          nobody by that key
      BadForm           a field is missing or says what cannot be
      NotAllowed        the key may not do this
      TooMany           the key, its account or its address calls too often
        TooManyWrong    the address sent too many wrong keys
      NotEnoughFunds    the account's balance, or its budget, does not carry the charge
      RequestIdTaken    the request's own id was used for another order
      NotSold           no route can take this order now
      Refused           the panels said no for the order's own sake
      Busy              a passing fault of ours: the ledger cannot write

Words are the field's own, and the definite ones: a client that knows the field reads from each that nothing was bought.
Mistakes in settings and rules stand outside this tree: they stop a start and never reach a customer.
"""


class GatewayError(Exception):
    """A refusal, in the words the customer reads."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class WrongKey(GatewayError):
    def __init__(self) -> None:
        super().__init__("Invalid API key")


class BadForm(GatewayError):
    pass


class NotAllowed(GatewayError):
    def __init__(self) -> None:
        super().__init__("This key may not do this")


class TooMany(GatewayError):
    def __init__(self, words: str = "Rate limit exceeded") -> None:
        super().__init__(words)


class TooManyWrong(TooMany):
    def __init__(self) -> None:
        super().__init__("Too many failed attempts. Please retry later")


class NotEnoughFunds(GatewayError):
    def __init__(self) -> None:
        super().__init__("Not enough funds on balance")


class RequestIdTaken(GatewayError):
    def __init__(self) -> None:
        super().__init__("This request id was used for another order")


class NotSold(GatewayError):
    def __init__(self, words: str = "This service is not available right now") -> None:
        super().__init__(words)


class Refused(GatewayError):
    pass


class Busy(GatewayError):
    def __init__(self) -> None:
        super().__init__("Service is under maintenance, please try again later")
