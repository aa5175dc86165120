"""A customer's own pages: signing up, logging in and out, password, addresses, fan club. They translate between HTTP
and the domain, and decide nothing."""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from config import throttle
from config.answers import SeeOther
from config.emails import InvalidEmail
from config.requests import client_address, explain, too_often
from shop import account_forms as forms
from shop import address_book, cart, catalogue, countries, customers, events
from shop.account_forms import Field
from shop.members import BOTH, READ, SEND, members, own_way, visitors
from shop.models import Address

FANS_DEALS = 8


@visitors(BOTH)
def signup(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _entrance(request, "signup", forms.SIGNUP)
    now = timezone.now()
    wait = throttle.signup(client_address(request), now=now)
    if wait:
        return too_often(request, wait)
    fields = forms.typed(forms.SIGNUP, request.POST)
    if not forms.are_whole(fields):
        return _entrance(request, "signup", fields, status=422)
    try:
        customer = customers.sign_up(email=request.POST["email"], password=request.POST["password"], now=now)
    except InvalidEmail as fault:
        return _entrance(request, "signup", fields, status=422, wrong={"email": str(fault)})
    except customers.BadPassword as fault:
        return _entrance(request, "signup", fields, status=422, wrong={"password": str(fault)})
    except customers.AlreadyKnown:
        wrong = {"email": "There is an account with this address already. Please log in."}
        return _entrance(request, "signup", fields, status=409, wrong=wrong)
    return _enter(request, customer, now)


@visitors(BOTH)
def login(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _entrance(request, "login", forms.LOGIN)
    now = timezone.now()
    fields = forms.typed(forms.LOGIN, request.POST)
    if not forms.are_whole(fields):
        return _entrance(request, "login", fields, status=422)
    email = request.POST["email"]
    wait = _guesses(request, email, now)
    if wait:
        return too_often(request, wait)
    try:
        customer = customers.recognise(email=email, password=request.POST["password"])
    except customers.NotRecognised:
        wrong = {"password": "There is no account with this address and this password."}
        return _entrance(request, "login", fields, status=422, wrong=wrong)
    return _enter(request, customer, now)


@visitors(SEND)
def logout(request: HttpRequest) -> HttpResponse:
    auth.logout(request)
    return SeeOther(reverse("shop:home"))


@members(READ)
def overview(request: HttpRequest, customer: User) -> HttpResponse:
    held = address_book.of(customer)
    return _page("overview", customer=customer, preferred=held[0] if held else None)


@members(BOTH)
def password(request: HttpRequest, customer: User) -> HttpResponse:
    if request.method != "POST":
        return _page("password", fields=forms.CHANGE, changed="changed" in request.GET)
    fields = forms.typed(forms.CHANGE, request.POST)
    wait = _guesses(request, customer.get_username(), timezone.now())
    if wait:
        return too_often(request, wait)
    if not forms.are_whole(fields):
        return _page("password", status=422, fields=fields)
    try:
        renewed = customers.change_password(customer=customer, old=request.POST["old"], new=request.POST["new"])
    except customers.NotRecognised:
        return _page("password", status=422, fields=forms.blamed(fields, {"old": "This is not your password."}))
    except customers.BadPassword as fault:
        return _page("password", status=422, fields=forms.blamed(fields, {"new": str(fault)}))
    request.user = renewed
    auth.update_session_auth_hash(request, renewed)  # every other session ends with the old password
    return SeeOther(f"{reverse('shop:password')}?changed")


@members(BOTH)
def addresses(request: HttpRequest, customer: User) -> HttpResponse:
    if request.method != "POST":
        return _book(customer)
    fields = forms.typed(forms.ADDRESS, request.POST)
    try:
        to = forms.destination(request.POST)
        address_book.add(customer=customer, to=to, preferred="preferred" in request.POST)
    except address_book.BadAddress as fault:
        return _book(customer, status=422, fields=fields, wrong=fault.wrong, country=request.POST.get("country", ""))
    except address_book.TooMany as fault:
        return _book(customer, status=409, fields=fields, error=str(fault))
    return SeeOther(own_way(request.POST.get("next", ""), reverse("shop:addresses")))


@members(BOTH)
def address(request: HttpRequest, customer: User, address: int) -> HttpResponse:
    """`action`: save, prefer or delete. Whose it is is asked first: of another's nothing is looked at."""
    try:
        held = address_book.one(customer=customer, address=address)
        return _changed(request, customer, address) if request.method == "POST" else _one(held)
    except address_book.NotYours:
        raise Http404("You have no such address.") from None
    except address_book.BadAddress as fault:
        return _one(held, status=422, typed=request.POST, wrong=fault.wrong)


@members(READ)
def fans(request: HttpRequest, customer: User) -> HttpResponse:
    """The members' page, with what is told to them alone: nobody else is shown it, and no cache keeps it."""
    now = timezone.now()
    return _page(
        "fans",
        number=f"{customer.pk:06d}",
        since=customer.date_joined,
        stories=events.for_members(now),
        events=events.current(now),
        cards=catalogue.deals().cards[:FANS_DEALS],
    )


def _guesses(request: HttpRequest, account: str, now: datetime) -> int:
    return throttle.login(client_address(request), account=account, now=now)


def _enter(request: HttpRequest, customer: User, now: datetime) -> HttpResponse:
    """Logged in from now on, with what was in the guest's cart."""
    auth.login(request, customer)
    if settings.CSRF_COOKIE_NAME not in request.COOKIES:
        # Django renews the token of the admin's forms at a login. Who has none needs none: no page of the shop uses it.
        request.META.pop("CSRF_COOKIE_NEEDS_UPDATE", None)
    cart.join(guest=request.COOKIES.get(cart.COOKIE), customer=customer, now=now)
    response = SeeOther(own_way(request.POST.get("next", ""), reverse("shop:account")))
    if cart.COOKIE in request.COOKIES:
        response.delete_cookie(cart.COOKIE, samesite="Lax")
    return response


def _entrance(
    request: HttpRequest,
    template: str,
    fields: tuple[Field, ...],
    *,
    status: int = 200,
    wrong: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The form of who is not logged in; whoever is goes on at once."""
    data = request.POST if request.method == "POST" else request.GET
    way = own_way(data.get("next", ""), "")
    if request.user.is_authenticated and request.method != "POST":
        return SeeOther(way or reverse("shop:account"))
    return _page(template, status=status, fields=forms.blamed(fields, wrong or {}), next=way)


def _book(
    customer: User,
    *,
    status: int = 200,
    fields: tuple[Field, ...] = forms.ADDRESS,
    wrong: Mapping[str, str] | None = None,
    country: str = "",
    error: str = "",
) -> HttpResponse:
    wrong = wrong or {}
    return _page(
        "addresses",
        status=status,
        addresses=address_book.of(customer),
        fields=forms.blamed(fields, wrong),
        countries=countries.NAMES,
        country=country,
        country_error=wrong.get("country", ""),
        error=error,
    )


def _one(
    held: Address, *, status: int = 200, typed: QueryDict | None = None, wrong: Mapping[str, str] | None = None
) -> HttpResponse:
    """The form with the address as it is, or as it was `typed`."""
    fields = forms.filled(forms.ADDRESS, held) if typed is None else forms.typed(forms.ADDRESS, typed)
    return _page(
        "address",
        status=status,
        address=held,
        fields=forms.blamed(fields, wrong or {}),
        countries=countries.NAMES,
        country=held.country if typed is None else typed.get("country", ""),
        country_error=(wrong or {}).get("country", ""),
    )


def _changed(request: HttpRequest, customer: User, address: int) -> HttpResponse:
    action = request.POST.get("action", "save")
    if action == "delete":
        address_book.delete(customer=customer, address=address)
    elif action == "prefer":
        address_book.prefer(customer=customer, address=address)
    elif action == "save":
        to = forms.destination(request.POST)
        address_book.change(customer=customer, address=address, to=to)
    else:
        return explain(request, 422, "An address can be saved, preferred or deleted.")
    return SeeOther(reverse("shop:addresses"))


def _page(template: str, *, status: int = 200, **context: object) -> HttpResponse:
    """Rendered without the request: no context processor then adds a token that nothing reads."""
    return HttpResponse(render_to_string(f"shop/account/{template}.html", context), status=status)
