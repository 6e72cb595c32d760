// response_mode=form_post: send the answer on as soon as the page is read, once.
// The prototype's `submit` is called because a field of that name would hide the form's own.
const form = document.getElementById("form-post");
form.querySelector("button").disabled = true;
HTMLFormElement.prototype.submit.call(form);
